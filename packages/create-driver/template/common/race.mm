# A page that the device has read is unmapped while the device reads it again: `npm run check` takes every interleaving.
== unmap arena 4
device dev0 driver acme-npu
map 0 1 rw- p anon
write 0
dev dev0 read 0
thread cpu {
  unmap 0 1
}
thread device {
  dev dev0 read 0
}

# The process forks, so that both share the page, and writes it while the device does.
== fork arena 4
device dev0 driver acme-npu
map 0 1 rw- p anon
write 0
dev dev0 write 0
thread cpu {
  fork
}
thread device {
  dev dev0 write 0
}
