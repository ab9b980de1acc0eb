# The process exits while the device is still bound to it.
== exit arena 16
device npu0 driver acme-npu
map 0 1 rw- p anon
write 0
dev npu0 read 0
exit
dev npu0 read 0
