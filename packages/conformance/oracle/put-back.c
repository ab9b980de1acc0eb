/*
 * The log of what was changed on this machine. It is written before the change is made, lies in /run until all is put back, and whoever comes next puts back what
 * a killed keeper left.
 */
#define _GNU_SOURCE
#include "oracle.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/swap.h>
#include <unistd.h>

#define FOLDER "/run"
#define PREFIX "mmu-notifier-oracle."

static char own[64];
static pid_t keeper;

/* A number goes down by what we have added to it: others may have changed it too. */
static void take_away(const char *path, long added) {
    char value[32];
    snprintf(value, sizeof value, "%ld", read_number(path) - added);
    write_text(path, value);
}

static void put_back_line(char *line) {
    char *path = strchr(line, '\t'), *value;
    if (path == NULL) return;
    *path++ = 0;
    value = strchr(path, '\t');
    if (value == NULL) return;
    *value++ = 0;
    if (strcmp(line, "write") == 0) write_text(path, value);
    else if (strcmp(line, "added") == 0) take_away(path, atol(value));
    else if (strcmp(line, "swapoff") == 0) swapoff(path);
    else if (strcmp(line, "unlink") == 0) unlink(path);
    else if (strcmp(line, "rmdir") == 0)
        /* An instance is busy until the last reader of its pipe has gone. */
        for (int i = 0; i < 100 && rmdir(path) != 0 && access(path, F_OK) == 0; i++) usleep(10000);
}

static void put_back(const char *log) {
    static char text[1 << 16];
    int length = read_text(log, text, sizeof text);
    if (length < 0) return;
    for (int at = length - 1; at >= 0; at--) {
        if (at > 0 && text[at - 1] != '\n') continue;
        char *end = strchr(text + at, '\n');
        /* A line that was cut short stands for a change that was not made. */
        if (end == NULL) { text[at] = 0; continue; }
        *end = 0;
        put_back_line(text + at);
        text[at] = 0;
    }
    unlink(log);
}

/* A keeper with this process id lives. */
static int keeper_lives(int pid) {
    char path[64], name[64];
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    return read_text(path, name, sizeof name) > 0 && strcmp(name, KEEPER_NAME "\n") == 0;
}

void put_back_begin(void) {
    DIR *folder = opendir(FOLDER);
    if (folder == NULL) fail("open " FOLDER);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[320];
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0) continue;
        if (keeper_lives(atoi(entry->d_name + strlen(PREFIX)))) continue;
        snprintf(path, sizeof path, FOLDER "/%s", entry->d_name);
        put_back(path);
    }
    closedir(folder);
    keeper = getpid();
    snprintf(own, sizeof own, FOLDER "/" PREFIX "%d", (int)keeper);
    unlink(own);
}

void put_back_later(const char *what, const char *path, const char *value) {
    char line[512];
    int length = snprintf(line, sizeof line, "%s\t%s\t%s\n", what, path, value);
    int fd = open(own, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, line, length) != length) fail("write /run/" PREFIX "PID");
    close(fd);
}

int put_back_knob(const char *path) {
    char value[64], *end;
    if (read_text(path, value, sizeof value) < 0) return -1;
    if ((end = strchr(value, '\n')) != NULL) *end = 0;
    put_back_later("write", path, value);
    return 0;
}

void put_back_now(void) {
    if (own[0] != 0 && getpid() == keeper) put_back(own);
}
