# A process writes a page and forks; the child exits. The page is read-only and has one owner again.
# The device reads it, then writes it: wp_page_reuse() gives the entry its right back, in place.
== upgrade arena 16
kernel v6.4+upgrade-event-fixed
device dev0 driver arm-smmu
map 0 1 rw- p anon
write 0
fork
reap 0
dev dev0 read 0
dev dev0 write 0
