# A page without struct page is copied on write: DAX memory in a private mapping. After the fork the child's entry is old, so arm64
# makes it young before the kernel reads through it, and holds the page-table lock from there to the end of __wp_page_copy_user().
# The patch sends its event inside. Write to page 1 first: a mapping without anon_vma is not copied by fork.
kernel v6.4+upgrade-event
arch arm64
== under-lock arena 16
dax f 4
map 0 4 rw- p f
read 0
write 1
fork
cwrite 0 0
