/* A tracing instance of our own, and what it says between the markers of an op. */
#define _GNU_SOURCE
#include "oracle.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const EVENTS[] = {"kvm/kvm_unmap_hva_range", "kvm/kvm_age_hva", "kvm/kvm_test_age_hva",
                                     "exceptions/page_fault_user", "exceptions/page_fault_kernel", "tlb/tlb_flush"};
#define EVENT_COUNT (sizeof EVENTS / sizeof EVENTS[0])
/* Buffer of the CPU that scripts run on: a sweep of faults over the largest arena fits many times. */
#define BUFFER_KB "16384"

static const char *tracefs;
static char instance[128];

void trace_find(void) {
    static const char *const PLACES[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};
    for (int i = 0; i < 2 && tracefs == NULL; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/instances", PLACES[i]);
        if (access(path, W_OK) == 0) tracefs = PLACES[i];
    }
    if (tracefs != NULL) return;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail("unshare mounts");
    if (mount("tracefs", PLACES[0], "tracefs", 0, NULL) != 0) fail("mount tracefs");
    tracefs = PLACES[0];
}

static int knob(const char *name, const char *value) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", instance, name);
    return write_text(path, value);
}

const char *trace_make(struct trace *trace, pid_t keeper, int cpu) {
    char path[256], number[32];
    snprintf(instance, sizeof instance, "%s/instances/mmu-notifier-oracle-%d", tracefs, (int)keeper);
    put_back_later("rmdir", instance, "");
    if (mkdir(instance, 0700) != 0) fail("make a tracing instance");
    snprintf(path, sizeof path, "per_cpu/cpu%d/buffer_size_kb", cpu);
    if (knob(path, BUFFER_KB) != 0) fail("size the trace buffer");
    snprintf(number, sizeof number, "%d", (int)keeper);
    if (knob("options/event-fork", "1") != 0 || knob("set_event_pid", number) != 0) fail("trace by process");
    for (size_t i = 0; i < EVENT_COUNT; i++) {
        snprintf(path, sizeof path, "events/%s/enable", EVENTS[i]);
        if (knob(path, "1") != 0) return EVENTS[i];
    }
    snprintf(path, sizeof path, "%s/trace_marker", instance);
    trace->marker = open(path, O_WRONLY | O_CLOEXEC);
    snprintf(path, sizeof path, "%s/trace_pipe", instance);
    trace->pipe = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (trace->marker < 0 || trace->pipe < 0) fail("open the tracing instance");
    return NULL;
}

void trace_close(const struct trace *trace) {
    close(trace->marker);
    close(trace->pipe);
}

void trace_daemons(void) {
    DIR *folder = opendir("/proc");
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        char path[320], name[64];
        int pid = atoi(entry->d_name);
        snprintf(path, sizeof path, "/proc/%d/comm", pid);
        if (pid <= 0 || read_text(path, name, sizeof name) < 0) continue;
        if (strcmp(name, "ksmd\n") != 0 && strcmp(name, "khugepaged\n") != 0) continue;
        snprintf(path, sizeof path, "%d", pid);
        knob("set_event_pid", path);
    }
    if (folder != NULL) closedir(folder);
}

struct reading {
    int inside, first, ended, lost;
};

/* One line: "   name-PID   [CPU] flags time: event: text". */
static void say_line(char *line, struct reading *reading) {
    char *cpu = strstr(line, " ["), *pid, *event;
    if (strncmp(line, "CPU:", 4) == 0) {
        reading->lost |= strstr(line, "LOST") != NULL;
        return;
    }
    if (cpu == NULL || (event = strstr(cpu, ": ")) == NULL) return;
    event += 2;
    if (strncmp(event, "tracing_mark_write: ", 20) == 0) {
        reading->inside = event[20] == 'B';
        reading->ended |= event[20] == 'E';
        return;
    }
    if (!reading->inside) return;
    for (pid = cpu; pid > line && pid[-1] == ' ';) pid--;
    while (pid > line && pid[-1] >= '0' && pid[-1] <= '9') pid--;
    say("%s[%d,\"", reading->first ? "" : ",", atoi(pid));
    say_text(event, strlen(event));
    say("\"]");
    reading->first = 0;
}

void trace_say(const struct trace *trace, int to_the_end) {
    static char text[1 << 16];
    size_t length = 0;
    struct reading reading = {0, 1, 0, 0};
    say("\"t\":[");
    for (int tries = 0; tries < 200;) {
        ssize_t got = read(trace->pipe, text + length, sizeof text - 1 - length);
        if (got <= 0) {
            if (got < 0 && errno == EINTR) continue;
            if (to_the_end || reading.ended) break;
            tries++;
            usleep(1000);
            continue;
        }
        length += got;
        text[length] = 0;
        char *line = text, *end;
        for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
            *end = 0;
            say_line(line, &reading);
        }
        length -= line - text;
        memmove(text, line, length);
    }
    say("]");
    if (reading.lost || (!to_the_end && !reading.ended)) say(",\"lost\":1");
}
