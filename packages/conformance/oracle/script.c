/* One script in a process of its own. */
#define _GNU_SOURCE
#include "oracle.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/*
 * fork() copies the note that flushes were put off for the keeper's address space (mm->tlb_flush_batched), and the first walk that changes entries makes up for them.
 * Here it does so before the first op.
 */
static void settle_flushes(void) {
    char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) fail("mmap");
    *page = 1;
    if (mprotect(page, PAGE, PROT_READ) != 0) fail("mprotect");
    munmap(page, PAGE);
}

/*
 * Folios that madvise() has marked wait in a batch of this CPU, which holds a reference to each; whether a write copies or reuses a page hangs on that. mlock()
 * empties the batches of the CPU it runs on.
 */
static void drain_batches(void) {
    static char *page;
    if (page == NULL) page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || mlock(page, PAGE) != 0 || munlock(page, PAGE) != 0) fail("mlock");
}

void stay_on(int cpu) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) != 0) fail("sched_setaffinity");
}

static void set_up(const struct trace *trace) {
    int ends[2];
    hot.marker = trace->marker;
    catch_signals();
    settle_flushes();
    snapshot_open();
    if (pipe(ends) != 0) fail("pipe");
    file_keep(":pipe-out", ends[0]);
    file_keep(":pipe-in", ends[1]);
    file_keep(":mem", open("/proc/self/mem", O_RDWR | O_CLOEXEC));
    file_keep(":refs", open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC));
    int drop = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
    if (drop >= 0) file_keep(":drop", drop);
    vm_open();
}

void script_run(const struct script *script, const struct trace *trace) {
    struct words words;
    set_up(trace);
    say("{\"pid\":%d}\n", (int)getpid());
    for (int i = 0; i < script->count; i++) {
        split(script->lines[i], &words);
        if (words.count == 0) continue;
        if (strcmp(words.word[0], "prepare") == 0) {
            words.count--;
            memmove(words.word, words.word + 1, words.count * sizeof words.word[0]);
            op_prepare(&words);
            continue;
        }
        if (strcmp(words.word[0], "exit") == 0) break;
        warm();
        say("{\"r\":{");
        if (!child_op(&words)) op_run(&words, 1);
        say("},");
        trace_say(trace, 0);
        say(",");
        snapshot_say(script->arena);
        say("}\n");
        say_now();
        op_clean_up();
        drain_batches();
    }
    children_end();
    mark_begin();
    _exit(0);
}
