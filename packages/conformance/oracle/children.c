/* Children that scripts fork: they wait for ops on a pipe and answer on another. */
#define _GNU_SOURCE
#include "oracle.h"
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448
#endif
#define MOST_CHILDREN 64

static struct child {
    int pid, in, out;
} children[MOST_CHILDREN];

static void answer(void) {
    say("\n");
    say_now();
}

void child_main(int in) {
    static char line[1024];
    struct words words;
    size_t length = 0;
    while (length < sizeof line - 1 && read(in, line + length, 1) == 1) {
        if (line[length++] != '\n') continue;
        line[length - 1] = 0;
        length = 0;
        if (strcmp(line, "exec") == 0) {
            char number[16];
            snprintf(number, sizeof number, "%d", in);
            execl("/proc/self/exe", KEEPER_NAME, "child", number, (char *)NULL);
            _exit(98);
        }
        split(line, &words);
        op_run(&words, 0);
        answer();
    }
    _exit(0);
}

static void forked(int in, int out) __attribute__((noreturn));
static void forked(int in, int out) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(out, STDOUT_FILENO);
    vm_close();
    say_nothing();
    answer();
    child_main(in);
}

static void fork_child(int index) {
    int to[2], from[2];
    long args[6] = {SIGCHLD};
    if (pipe(to) != 0 || pipe(from) != 0) fail("pipe");
    mark_begin();
    long pid = raw_call(SYS_clone, args);
    if (pid == 0) forked(to[0], from[1]);
    mark_end();
    warm();
    close(to[0]);
    close(from[1]);
    /* The child has a descriptor of the virtual machine until it gets to run: closing it here would not end the machine before. */
    if (pid > 0 && read(from[0], hot.vector, 1) != 1) fail("wait for a child");
    if (pid < 0) say("\"err\":\"%s\"", strerrorname_np(-(int)pid));
    else {
        children[index] = (struct child){(int)pid, to[1], from[0]};
        say("\"ret\":0,\"child\":%ld", pid);
    }
}

static void wait_for(struct child *child) {
    long args[6] = {child->pid, 0, __WALL};
    raw_call(SYS_wait4, args);
}

static void forget(struct child *child) {
    close(child->in);
    close(child->out);
    child->pid = 0;
}

static void reap(struct child *child) {
    long args[6] = {child->pid, SIGKILL};
    mark_begin();
    raw_call(SYS_kill, args);
    wait_for(child);
    mark_end();
    forget(child);
    say("\"ret\":0");
}

/* Nobody else runs on this CPU, and so no child of ours, until the caller waits. */
static void alone(int policy, int priority) {
    struct sched_param param = {.sched_priority = priority};
    if (sched_setscheduler(0, policy, &param) != 0) fail("sched_setscheduler");
}

/* The child is killed; before it gets to run, and so to exit, its memory is taken. */
static void mrelease(struct child *child) {
    long pidfd = syscall(SYS_pidfd_open, child->pid, 0), kill_args[6] = {child->pid, SIGKILL}, args[6] = {pidfd};
    alone(SCHED_FIFO, 1);
    mark_begin();
    raw_call(SYS_kill, kill_args);
    long result = raw_call(SYS_process_mrelease, args);
    wait_for(child);
    mark_end();
    alone(SCHED_OTHER, 0);
    close((int)pidfd);
    forget(child);
    if (result < 0) say("\"err\":\"%s\"", strerrorname_np(-(int)result));
    else say("\"ret\":%ld", result);
}

/* Hands an op to a child and repeats its answer. */
static void ask(struct child *child, struct words *words) {
    size_t length = 0;
    char *line = (char *)hot.vector, *answered = (char *)hot.vector;
    for (int i = 2; i < words->count; i++) length += snprintf(line + length, 1024 - length, "%s%s", i == 2 ? "" : " ", words->word[i]);
    line[length++] = '\n';
    long write_args[6] = {child->in, (long)line, (long)length};
    mark_begin();
    raw_call(SYS_write, write_args);
    for (length = 0; length < sizeof hot.vector; ) {
        long read_args[6] = {child->out, (long)(answered + length), (long)(sizeof hot.vector - length)};
        long got = raw_call(SYS_read, read_args);
        if (got <= 0) break;
        length += got;
        if (answered[length - 1] == '\n') break;
    }
    mark_end();
    if (length == 0) say("\"dead\":1");
    else for (size_t i = 0; i < length - 1; i++) say("%c", answered[i]);
}

int child_op(struct words *words) {
    const char *op = words->word[0];
    int index = atoi(words->word[1]);
    if (strcmp(op, "fork") != 0 && strcmp(op, "child") != 0 && strcmp(op, "reap") != 0 && strcmp(op, "mrelease") != 0) return 0;
    if (index < 0 || index >= MOST_CHILDREN || (strcmp(op, "fork") != 0 && children[index].pid == 0)) {
        mark_begin();
        mark_end();
        say("\"err\":\"NOCHILD\"");
    } else if (strcmp(op, "fork") == 0) fork_child(index);
    else if (strcmp(op, "reap") == 0) reap(&children[index]);
    else if (strcmp(op, "mrelease") == 0) mrelease(&children[index]);
    else ask(&children[index], words);
    return 1;
}

void children_end(void) {
    for (int i = 0; i < MOST_CHILDREN; i++) {
        if (children[i].pid == 0) continue;
        kill(children[i].pid, SIGKILL);
        wait_for(&children[i]);
    }
}
