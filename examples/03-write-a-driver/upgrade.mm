# A page of shared memory: the device reads it, then writes it.
== upgrade arena 16
map 0 4 rw- s mem
device npu0 driver acme-npu
dev npu0 read 0
dev npu0 write 0
