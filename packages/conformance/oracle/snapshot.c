/* What the arena looks like after an op: smaps, pagemap, PAGEMAP_SCAN, kpagecount, kpageflags. */
#define _GNU_SOURCE
#include "oracle.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* VMAs that start within four huge pages behind the arena are listed. */
#define VMA_REACH (512 * 4)
#define PRESENT (1ULL << 63)
#define PFN ((1ULL << 55) - 1)
/* Bits 55 to 62 of pagemap say what an entry is; the rest is its frame. */
#define PAGEMAP_FLAGS(entry) ((unsigned)((entry) >> 55))
/* kpageflags: dirty, swapcache, unevictable, KSM, THP. */
#define WRITEBACK (1UL << 8)
#define SHOWN_FLAGS (1UL << 4 | 1UL << 13 | 1UL << 18 | 1UL << 21 | 1UL << 22)

struct scan_region {
    uint64_t start, end, categories;
};
struct scan_argument {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN _IOWR('f', 16, struct scan_argument)

static int pagemap, page_count, page_flags;
static uint64_t entries[MOST_PAGES], counts[MOST_PAGES], flags[MOST_PAGES], categories[MOST_PAGES];
static struct scan_region regions[MOST_PAGES];

void snapshot_open(void) {
    pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    page_count = open("/proc/kpagecount", O_RDONLY | O_CLOEXEC);
    page_flags = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
    if (pagemap < 0 || page_count < 0 || page_flags < 0) fail("pagemap, kpagecount and kpageflags");
    file_keep(":pagemap", pagemap);
}

/* Swap is written in the background. Until that is done a page is not like one that lies in swap: what a fault on it does would be a matter of time. */
static void wait_for_writeback(long pages) {
    for (long i = 0; i < pages; i++) {
        uint64_t seen;
        if (!(entries[i] & PRESENT)) continue;
        for (int tries = 0; tries < 500; tries++) {
            if (pread(page_flags, &seen, sizeof seen, (entries[i] & PFN) * 8) != sizeof seen || !(seen & WRITEBACK)) break;
            usleep(1000);
        }
    }
}

static void say_vmas(long arena) {
    static char text[1 << 20];
    int listed = 0, inside = 0;
    if (read_text("/proc/self/smaps", text, sizeof text) < 0) fail("/proc/self/smaps");
    say("\"v\":[");
    char *rest;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        unsigned long start, end, offset, inode;
        char rights[8];
        int path = 0;
        if (sscanf(line, "%lx-%lx %7s %lx %*s %lu %n", &start, &end, rights, &offset, &inode, &path) >= 5) {
            inside = start >= ARENA && start < ARENA + (arena + VMA_REACH) * PAGE;
            if (!inside) continue;
            const char *backing = file_backing(inode, line + path);
            say("%s[%ld,%ld,\"%s\",%lu,\"%s\",\"", listed++ ? "," : "", (long)((start - ARENA) / PAGE), (long)((end - ARENA) / PAGE), rights, offset / PAGE, backing);
        } else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            say_text(line + 9, strlen(line + 9));
            say("\"]");
        }
    }
    say("]");
}

static void read_categories(long pages) {
    memset(categories, 0, pages * sizeof categories[0]);
    struct scan_argument scan = {.size = sizeof scan, .start = ARENA, .end = ARENA + pages * PAGE, .vec = (uint64_t)regions, .vec_len = MOST_PAGES, .return_mask = 0x1ff};
    int found = ioctl(pagemap, SCAN, &scan);
    if (found < 0 && errno == EINVAL) {
        /* The category of guard pages came later than the rest. */
        scan.return_mask = 0xff;
        found = ioctl(pagemap, SCAN, &scan);
    }
    if (found < 0) fail("PAGEMAP_SCAN");
    for (int i = 0; i < found; i++)
        for (uint64_t at = regions[i].start; at < regions[i].end; at += PAGE) categories[(at - ARENA) / PAGE] = regions[i].categories;
}

static void read_frames(long pages) {
    memset(counts, 0, pages * sizeof counts[0]);
    memset(flags, 0, pages * sizeof flags[0]);
    for (long first = 0, end; first < pages; first = end) {
        end = first + 1;
        if (!(entries[first] & PRESENT)) continue;
        uint64_t frame = entries[first] & PFN;
        while (end < pages && (entries[end] & PRESENT) && (entries[end] & PFN) == frame + (end - first)) end++;
        size_t size = (end - first) * sizeof(uint64_t);
        if (pread(page_count, counts + first, size, frame * 8) < 0 || pread(page_flags, flags + first, size, frame * 8) < 0) fail("kpagecount");
    }
}

/* [first, pages, bits 55 to 63 of pagemap, categories, flags, frame, map count] */
static void say_pages(long pages) {
    ssize_t size = pages * sizeof entries[0];
    int listed = 0;
    if (pread(pagemap, entries, size, ARENA / PAGE * 8) != size) fail("/proc/self/pagemap");
    read_categories(pages);
    read_frames(pages);
    say("\"p\":[");
    for (long first = 0, end; first < pages; first = end) {
        uint64_t present = entries[first] & PRESENT, frame = entries[first] & PFN;
        for (end = first + 1; end < pages; end++) {
            if (PAGEMAP_FLAGS(entries[end]) != PAGEMAP_FLAGS(entries[first]) || categories[end] != categories[first]) break;
            if (present && (entries[end] & PFN) != frame + (end - first)) break;
            if (counts[end] != counts[first] || ((flags[end] ^ flags[first]) & SHOWN_FLAGS) != 0) break;
        }
        if (PAGEMAP_FLAGS(entries[first]) == 0) continue;
        say("%s[%ld,%ld,%u,%lu,%lu,%lu,%lu]", listed++ ? "," : "", first, end - first, PAGEMAP_FLAGS(entries[first]), categories[first],
            flags[first] & SHOWN_FLAGS, present ? frame : 0, counts[first]);
    }
    say("]");
}

void snapshot_say(long arena) {
    /* The entries are those of the last snapshot here. */
    wait_for_writeback(arena + SLACK);
    say_vmas(arena);
    say(",");
    say_pages(arena + SLACK);
}
