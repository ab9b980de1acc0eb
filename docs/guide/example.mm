kernel v6.12
arch arm64
device smmu0 driver arm-smmu

== unmap arena 16
map 0 4 rw- p anon      # four pages, read-write, private, anonymous
writer 0 4              # a store to each
dev smmu0 read 1
unmap 1 1
dev smmu0 read 1

== threads arena 16
map 0 4 rw- p anon
thread A {
  write 0
  protect 0 4 r--
}
thread B {
  write 0
}
