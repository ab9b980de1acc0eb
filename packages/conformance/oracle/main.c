/*
 * The keeper. It gets the machine ready, runs the scripts that come on stdin one after another, and puts the machine back when stdin ends, whoever feeds it dies, or
 * a signal comes.
 *
 * mmun-oracle put-back                                    puts back what killed keepers left
 * mmun-oracle CPU SECONDS FOLDER HUGE_PAGES SWAP_PAGES
 *   stdin: {"script ARENA [daemons]" LINES.. "run"}..
 *   stdout: {"ready":..}, then for each script {"pid":..}, a record an op, {"exit":STATUS,"t":[..]}
 */
#define _GNU_SOURCE
#include "oracle.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HUGE_PAGES "/proc/sys/vm/nr_hugepages"

static struct trace trace = {-1, -1};
static volatile sig_atomic_t stopped;
static sigset_t waiting;

static void stop(int signal) { stopped = signal; }
static void wake(int signal) { (void)signal; }

static void watch_signals(void) {
    static const int STOPS[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = stop};
    sigset_t blocked;
    sigemptyset(&blocked);
    for (int i = 0; i < 3; i++) {
        sigaction(STOPS[i], &action, NULL);
        sigaddset(&blocked, STOPS[i]);
    }
    action.sa_handler = wake;
    sigaction(SIGCHLD, &action, NULL);
    sigaddset(&blocked, SIGCHLD);
    sigprocmask(SIG_BLOCK, &blocked, &waiting);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
}

/* Waits for input, a child's end or a signal. Returns what poll says of stdin. */
static short wait_for(short events, int milliseconds) {
    struct pollfd poll = {.fd = STDIN_FILENO, .events = events};
    struct timespec limit = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    if (ppoll(&poll, 1, milliseconds < 0 ? NULL : &limit, &waiting) < 0) return 0;
    return poll.revents;
}

/* ---- the machine ---- */

static long huge_pages(const char *which) {
    char path[96];
    snprintf(path, sizeof path, "/sys/kernel/mm/hugepages/hugepages-2048kB/%s_hugepages", which);
    return read_number(path);
}

/* Free ones that are promised to nobody. */
static long free_huge_pages(void) {
    long promised = huge_pages("resv");
    return huge_pages("free") - (promised > 0 ? promised : 0);
}

/* Pages that are in the pool beyond its size are counted in first when it grows. */
static void more_huge_pages(long wanted) {
    char value[32], sum[32];
    long have = read_number(HUGE_PAGES), beyond = huge_pages("surplus");
    if (wanted == 0 || have < 0) return;
    if (beyond > 0) wanted += beyond;
    write_text("/proc/sys/vm/compact_memory", "1");
    snprintf(value, sizeof value, "%ld", wanted);
    snprintf(sum, sizeof sum, "%ld", have + wanted);
    put_back_later("added", HUGE_PAGES, value);
    write_text(HUGE_PAGES, sum);
}

static char swap_path[256];

/* A swap file of our own. Returns 0, or -1 with errno. */
static int more_swap(const char *folder, long pages) {
    static char block[1 << 16];
    int fd;
    snprintf(swap_path, sizeof swap_path, "%s/mmu-notifier-oracle.%d.swap", folder, (int)getpid());
    put_back_later("unlink", swap_path, "");
    if ((fd = open(swap_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0) return -1;
    for (long done = 0; done < pages * (long)PAGE; done += sizeof block)
        if (pwrite(fd, block, sizeof block, done) != sizeof block) return -1;
    /* What mkswap writes: a version, the last page, a signature at the end of the first. */
    uint32_t header[2] = {1, (uint32_t)pages - 1};
    if (pwrite(fd, header, sizeof header, 1024) != sizeof header || pwrite(fd, "SWAPSPACE2", 10, PAGE - 10) != 10 || fsync(fd) != 0) return -1;
    close(fd);
    put_back_later("swapoff", swap_path, "");
    return swapon(swap_path, 0);
}

static void remember_daemons(void) {
    static const char *const KNOBS[] = {
        "/sys/kernel/mm/ksm/pages_to_scan", "/sys/kernel/mm/ksm/sleep_millisecs", "/sys/kernel/mm/ksm/smart_scan", "/sys/kernel/mm/ksm/run",
        "/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs", "/sys/kernel/mm/transparent_hugepage/khugepaged/alloc_sleep_millisecs"};
    static int done;
    if (done++) return;
    /* Only one keeper at a time changes and puts back these knobs. */
    flock(open("/sys/kernel/mm", O_RDONLY | O_DIRECTORY | O_CLOEXEC), LOCK_EX);
    for (size_t i = 0; i < sizeof KNOBS / sizeof KNOBS[0]; i++) put_back_knob(KNOBS[i]);
    trace_daemons();
}

/* ---- scripts ---- */

static char *input;
static size_t used, size, taken;

/* The next line of stdin, or NULL when there is none and none will come. */
static char *next_line(void) {
    for (;;) {
        char *start = input + taken, *end = used > taken ? memchr(start, '\n', used - taken) : NULL;
        if (end != NULL) {
            *end = 0;
            taken = end + 1 - input;
            return start;
        }
        if (size - used < 65536 && (input = realloc(input, size += 1 << 20)) == NULL) fail("memory");
        if (stopped) return NULL;
        if (!(wait_for(POLLIN, -1) & (POLLIN | POLLHUP))) continue;
        ssize_t got = read(STDIN_FILENO, input + used, size - used);
        if (got <= 0) return NULL;
        used += got;
    }
}

/* Waits for the script's process; kills it and its children when it takes too long or nobody wants its answer. */
static int await(pid_t pid, int seconds) {
    int status;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    for (time_t limit = now.tv_sec + seconds;;) {
        if (waitpid(pid, &status, WNOHANG) == pid) return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (stopped || now.tv_sec >= limit) {
            kill(-pid, SIGKILL);
            waitpid(pid, &status, 0);
            return -SIGALRM;
        }
        /* The end of stdin while a script runs means that nobody listens any more. */
        if (wait_for(0, 1000) & (POLLHUP | POLLERR)) stopped = SIGHUP;
    }
}

/* Pages that compaction has looked at so far: it moves pages of every process, and its flushes end up in whatever that process does next. */
static long compacted(void) {
    static char text[1 << 16];
    const char *found;
    if (read_text("/proc/vmstat", text, sizeof text) < 0 || (found = strstr(text, "compact_migrate_scanned ")) == NULL) return 0;
    return atol(strchr(found, ' '));
}

static void run(const struct script *script, int seconds) {
    long before = compacted();
    pid_t pid = fork();
    if (pid < 0) fail("fork");
    if (pid == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigprocmask(SIG_SETMASK, &waiting, NULL);
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        signal(SIGHUP, SIG_DFL);
        signal(SIGCHLD, SIG_DFL);
        script_run(script, &trace);
    }
    setpgid(pid, pid);
    int status = await(pid, seconds);
    say("{\"exit\":%d,\"compacted\":%ld,", status, compacted() - before);
    trace_say(&trace, 1);
    say("}\n");
    say_now();
}

static void serve(int seconds) {
    static char *lines[16384];
    for (;;) {
        struct script script = {.lines = lines};
        char *line;
        memmove(input, input + taken, used -= taken);
        taken = 0;
        if ((line = next_line()) == NULL || sscanf(line, "script %ld", &script.arena) != 1) return;
        if (strstr(line, " daemons") != NULL) remember_daemons();
        /* Lines are kept by their place: the buffer may move while it grows. */
        static size_t places[16384];
        while ((line = next_line()) != NULL && strcmp(line, "run") != 0 && script.count < 16384) places[script.count++] = line - input;
        if (line == NULL) return;
        for (int i = 0; i < script.count; i++) lines[i] = input + places[i];
        run(&script, seconds);
    }
}

/* An instance is busy while its files are open. */
static void leave(void) {
    trace_close(&trace);
    put_back_now();
}

int main(int count, char **words) {
    if (count == 3 && strcmp(words[1], "child") == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        catch_signals();
        say("\"ret\":0\n");
        say_now();
        child_main(atoi(words[2]));
    }
    if (count == 2 && strcmp(words[1], "put-back") == 0) {
        trace_find();
        put_back_begin();
        return 0;
    }
    if (count != 6) return 2;
    prctl(PR_SET_NAME, KEEPER_NAME);
    stay_on(atoi(words[1]));
    watch_signals();
    file_folder = words[3];
    trace_find();
    put_back_begin();
    atexit(leave);
    const char *missing = trace_make(&trace, getpid(), atoi(words[1]));
    if (missing != NULL) { errno = ENOENT; fail(missing); }
    more_huge_pages(atol(words[4]));
    int swap_error = atol(words[5]) > 0 && more_swap(file_folder, atol(words[5])) != 0 ? errno : 0;
    say("{\"ready\":{\"keeper\":%d,\"hugePages\":%ld,\"swap\":\"%s\",\"swapError\":\"%s\"}}\n", (int)getpid(), free_huge_pages(), swap_path,
        swap_error == 0 ? "" : strerrorname_np(swap_error));
    say_now();
    serve(atoi(words[2]));
    return stopped ? 128 + stopped : 0;
}
