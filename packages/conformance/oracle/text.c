/* Output as JSON lines, and small files of /proc and /sys. */
#define _GNU_SOURCE
#include "oracle.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char text[1 << 20];
static size_t used;

void say_now(void) {
    size_t done = 0;
    while (done < used) {
        ssize_t wrote = write(STDOUT_FILENO, text + done, used - done);
        if (wrote > 0) done += wrote;
        else if (errno != EINTR) break;
    }
    used = 0;
}

void say_nothing(void) { used = 0; }

void say(const char *format, ...) {
    va_list list;
    if (sizeof text - used < 8192) say_now();
    va_start(list, format);
    used += vsnprintf(text + used, sizeof text - used, format, list);
    va_end(list);
}

void say_text(const char *from, size_t length) {
    if (sizeof text - used < length + 8192) say_now();
    for (size_t i = 0; i < length; i++) {
        unsigned char c = from[i];
        text[used++] = c < ' ' || c == '"' || c == '\\' || c > '~' ? '?' : c;
    }
}

void fail(const char *what) {
    const char *name = strerrorname_np(errno);
    used = 0;
    say("{\"fail\":\"");
    say_text(what, strlen(what));
    say("\",\"error\":\"%s\"}\n", name == NULL ? "?" : name);
    say_now();
    exit(3);
}

int read_text(const char *path, char *into, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    ssize_t got;
    if (fd < 0) return -1;
    while (length < size - 1 && (got = read(fd, into + length, size - 1 - length)) > 0) length += got;
    close(fd);
    into[length] = 0;
    return (int)length;
}

long read_number(const char *path) {
    char into[64];
    return read_text(path, into, sizeof into) <= 0 ? -1 : atol(into);
}

int write_text(const char *path, const char *value) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t wrote = write(fd, value, strlen(value));
    close(fd);
    return wrote < 0 ? -1 : 0;
}
