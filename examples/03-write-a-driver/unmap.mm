# A page that the device has read is unmapped, and its frame goes to another page.
== unmap arena 16
device npu0 driver acme-npu
map 0 1 rw- p anon
write 0
dev npu0 read 0
unmap 0 1
map 4 1 rw- p anon
write 4
dev npu0 read 0
