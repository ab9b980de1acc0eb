/* One script in a process of its own. */
#define _GNU_SOURCE
#include "oracle.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static void set_up(const struct trace *trace, int cpu) {
    cpu_set_t cpus;
    int ends[2];
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) != 0) fail("sched_setaffinity");
    hot.marker = trace->marker;
    catch_signals();
    snapshot_open();
    if (pipe(ends) != 0) fail("pipe");
    file_keep(":pipe-out", ends[0]);
    file_keep(":pipe-in", ends[1]);
    file_keep(":mem", open("/proc/self/mem", O_RDWR | O_CLOEXEC));
    file_keep(":refs", open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC));
    vm_open();
}

void script_run(const struct script *script, const struct trace *trace, int cpu) {
    struct words words;
    set_up(trace, cpu);
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
    }
    children_end();
    mark_begin();
    _exit(0);
}
