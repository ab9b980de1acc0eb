/* The ops of scripts, as the encoder in TypeScript writes them: system calls with ready arguments, loads, stores and a few that need more than one call. */
#define _GNU_SOURCE
#include "oracle.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Numbers that old headers lack; they are the same on every architecture. */
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif

static const struct { const char *name; long number; } CALLS[] = {
    {"mmap", SYS_mmap}, {"munmap", SYS_munmap}, {"mprotect", SYS_mprotect}, {"mremap", SYS_mremap},
    {"madvise", SYS_madvise}, {"process_madvise", SYS_process_madvise}, {"mlock", SYS_mlock}, {"mlock2", SYS_mlock2},
    {"munlock", SYS_munlock}, {"mseal", SYS_mseal}, {"msync", SYS_msync}, {"mincore", SYS_mincore},
    {"mbind", SYS_mbind}, {"move_pages", SYS_move_pages}, {"remap_file_pages", SYS_remap_file_pages},
    {"ftruncate", SYS_ftruncate}, {"fallocate", SYS_fallocate}, {"fsync", SYS_fsync}, {"fadvise64", SYS_fadvise64},
    {"pread64", SYS_pread64}, {"pwrite64", SYS_pwrite64}, {"process_vm_readv", SYS_process_vm_readv},
    {"process_vm_writev", SYS_process_vm_writev}, {"ioctl", SYS_ioctl}, {"io_uring_register", SYS_io_uring_register},
    {"write", SYS_write}, {"sync", SYS_sync}, {"swapon", SYS_swapon}, {"swapoff", SYS_swapoff},
};

static unsigned long outside, outside_length;

void split(char *line, struct words *words) {
    char *rest;
    words->count = 0;
    for (char *word = strtok_r(line, " ", &rest); word != NULL && words->count < 32; word = strtok_r(NULL, " ", &rest))
        words->word[words->count++] = word;
    for (int i = words->count; i < 32; i++) words->word[i] = "";
}

static unsigned long number(const char *word) { return *word == '-' ? (unsigned long)strtol(word, NULL, 0) : strtoul(word, NULL, 0); }

/* A word of a structure in memory: a number, a descriptor, or the buffer. */
static uint64_t element(const char *word) {
    if (strncmp(word, "fd:", 3) == 0) return file_descriptor(word + 3);
    if (strcmp(word, "buffer") == 0) return (uint64_t)hot.buffer;
    if (strcmp(word, "vector") == 0) return (uint64_t)hot.vector;
    return number(word);
}

/* An argument of a system call: also a structure of words (w:..) or ints (i:..), text (s:..), the buffer with a first byte (buffer=..). */
static long argument(char *word, int at) {
    char *rest;
    int n = 0;
    if (strncmp(word, "w:", 2) == 0) {
        for (char *part = strtok_r(word + 2, ",", &rest); part != NULL && n < MOST_WORDS; part = strtok_r(NULL, ",", &rest))
            hot.words[at][n++] = element(part);
        return (long)hot.words[at];
    }
    if (strncmp(word, "i:", 2) == 0) {
        for (char *part = strtok_r(word + 2, ",", &rest); part != NULL && n < MOST_WORDS; part = strtok_r(NULL, ",", &rest))
            hot.ints[at][n++] = (int32_t)element(part);
        return (long)hot.ints[at];
    }
    if (strncmp(word, "s:", 2) == 0) {
        snprintf((char *)hot.words[at], sizeof hot.words[at], "%s", word + 2);
        return (long)hot.words[at];
    }
    if (strncmp(word, "buffer=", 7) == 0) {
        hot.buffer[0] = (unsigned char)number(word + 7);
        return (long)hot.buffer;
    }
    if (strcmp(word, "self") == 0) return getpid();
    return (long)element(word);
}

static void say_return(long result) {
    if (result < 0 && result > -4096) {
        const char *name = strerrorname_np(-(int)result);
        say("\"err\":\"%s\"", name == NULL ? "?" : name);
    } else say("\"ret\":%ld", result);
}

/* call NAME ARG.. [> byte | > bits N | > status | > place LENGTH | > fill BYTE]: what else the record shows, or how the buffer starts. */
static void call(struct words *words, int marked) {
    long nr = -1, result;
    int n = 2;
    for (size_t i = 0; i < sizeof CALLS / sizeof CALLS[0]; i++)
        if (strcmp(CALLS[i].name, words->word[1]) == 0) nr = CALLS[i].number;
    if (nr < 0) { errno = ENOSYS; fail(words->word[1]); }
    memset(hot.args, 0, sizeof hot.args);
    for (; n < words->count && n < 8 && *words->word[n] != '>'; n++) hot.args[n - 2] = argument(words->word[n], n - 2);
    if (n < words->count && strcmp(words->word[n + 1], "fill") == 0) hot.buffer[0] = (unsigned char)number(words->word[n + 2]);
    if (marked) mark_begin();
    result = raw_call(nr, hot.args);
    if (marked) mark_end();
    say_return(result);
    if (n >= words->count) return;
    const char *more = words->word[n + 1];
    if (strcmp(more, "byte") == 0 && result == 1) say(",\"val\":%u", hot.buffer[0]);
    else if (strcmp(more, "status") == 0) say(",\"status\":%d", hot.ints[4][0]);
    else if (strcmp(more, "place") == 0 && result > 0 && ((unsigned long)result < ARENA || (unsigned long)result >= ARENA + REACH)) {
        outside = result;
        outside_length = number(words->word[n + 2]);
    }
    else if (strcmp(more, "bits") == 0 && result == 0) {
        say(",\"val\":\"");
        for (unsigned long i = 0; i < number(words->word[n + 2]); i++) say("%d", hot.vector[i] & 1);
        say("\"");
    }
}

void op_clean_up(void) {
    long args[6] = {outside, outside_length};
    if (outside != 0) raw_call(SYS_munmap, args);
    outside = 0;
}

static void access_one(unsigned long address, int store, unsigned char value, int marked) {
    if (marked) mark_begin();
    int result = touch(address, store, value);
    if (marked) mark_end();
    if (result < 0) say("\"sig\":%d,\"code\":%d,\"addr\":%lu", hot.caught.signal, hot.caught.code, hot.caught.address);
    else say("\"val\":%d", result);
}

/* sweep load|store ADDRESS PAGES each|until BYTE */
static void sweep(struct words *words, int marked) {
    unsigned long address = number(words->word[2]);
    long pages = number(words->word[3]), sum = 0, done = 0;
    int store = strcmp(words->word[1], "store") == 0, until = strcmp(words->word[4], "until") == 0, signals = 0;
    unsigned char value = (unsigned char)number(words->word[5]);
    if (marked) mark_begin();
    for (; done < pages && done < (long)MOST_PAGES; done++) {
        int result = touch(address + done * PAGE, store, value);
        if (result >= 0) { sum += result; continue; }
        hot.signals[signals].page = (int32_t)done;
        hot.signals[signals].signal = (int16_t)hot.caught.signal;
        hot.signals[signals++].code = (int16_t)hot.caught.code;
        if (until) break;
    }
    if (marked) mark_end();
    say("\"ret\":%ld,\"sum\":%ld,\"sigs\":[", done, sum);
    for (int i = 0; i < signals; i++)
        say("%s[%d,%d,%d]", i == 0 ? "" : ",", hot.signals[i].page, hot.signals[i].signal, hot.signals[i].code);
    say("]");
}

/* The kernel copies one byte from or to the page, through a pipe. */
static void through_pipe(unsigned long address, int store, unsigned char value, int marked) {
    long args[6] = {file_descriptor(store ? ":pipe-out" : ":pipe-in"), (long)address, 1};
    if (store && write(file_descriptor(":pipe-in"), &value, 1) != 1) fail("write to a pipe");
    if (marked) mark_begin();
    long result = raw_call(store ? SYS_read : SYS_write, args);
    if (marked) mark_end();
    say_return(result);
    if ((store && result == 1) || (!store && result != 1)) return;
    if (read(file_descriptor(":pipe-out"), &value, 1) != 1) fail("read from a pipe");
    if (!store) say(",\"val\":%u", value);
}

static long uffd_open(const char *features) {
    struct uffdio_api api = {.api = UFFD_API, .features = number(features)};
    int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return -errno;
    if (ioctl(fd, UFFDIO_API, &api) != 0) return -errno;
    file_keep(":uffd", fd);
    return 0;
}

void vm_open(void) {
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm;
    if (kvm < 0) fail("/dev/kvm");
    vm = ioctl(kvm, KVM_CREATE_VM, 0);
    if (vm < 0) fail("KVM_CREATE_VM");
    close(kvm);
    file_keep(":vm", vm);
}

void vm_close(void) {
    long args[6] = {file_descriptor(":vm")};
    if (args[0] < 0) return;
    raw_call(SYS_close, args);
    file_forget(":vm");
}

/* ksmd, eight times over everything: what is equal has been merged then. */
static void ksm_scan(void) {
    long before = read_number("/sys/kernel/mm/ksm/full_scans");
    write_text("/sys/kernel/mm/ksm/pages_to_scan", "20000");
    write_text("/sys/kernel/mm/ksm/sleep_millisecs", "1");
    write_text("/sys/kernel/mm/ksm/smart_scan", "0");
    mark_begin();
    write_text("/sys/kernel/mm/ksm/run", "1");
    for (int i = 0; i < 1600 && read_number("/sys/kernel/mm/ksm/full_scans") < before + 8; i++) usleep(5000);
    write_text("/sys/kernel/mm/ksm/run", "0");
    usleep(3000);
    mark_end();
}

static void khugepaged(unsigned long milliseconds) {
#define KHUGEPAGED "/sys/kernel/mm/transparent_hugepage/khugepaged/"
    write_text(KHUGEPAGED "scan_sleep_millisecs", "10");
    write_text(KHUGEPAGED "alloc_sleep_millisecs", "10");
    mark_begin();
    usleep(milliseconds * 1000);
    mark_end();
    write_text(KHUGEPAGED "scan_sleep_millisecs", "10000");
    write_text(KHUGEPAGED "alloc_sleep_millisecs", "60000");
}

void op_run(struct words *words, int marked) {
    char **word = words->word;
    if (strcmp(word[0], "call") == 0) return call(words, marked);
    if (strcmp(word[0], "load") == 0) return access_one(number(word[1]), 0, 0, marked);
    if (strcmp(word[0], "store") == 0) return access_one(number(word[1]), 1, (unsigned char)number(word[2]), marked);
    if (strcmp(word[0], "sweep") == 0) return sweep(words, marked);
    if (strcmp(word[0], "kread") == 0) return through_pipe(number(word[1]), 0, 0, marked);
    if (strcmp(word[0], "kwrite") == 0) return through_pipe(number(word[1]), 1, (unsigned char)number(word[2]), marked);
    if (strcmp(word[0], "ksmrun") == 0) ksm_scan();
    else if (strcmp(word[0], "khuge") == 0) khugepaged(number(word[1]));
    else {
        long result = 0;
        if (marked) mark_begin();
        if (strcmp(word[0], "openvm") == 0) vm_open();
        else if (strcmp(word[0], "closevm") == 0) vm_close();
        else if (strcmp(word[0], "uffd") == 0) result = uffd_open(word[1]);
        else if (strcmp(word[0], "make") == 0) file_make(word[1], word[2], number(word[3]), number(word[4]));
        else if (strcmp(word[0], "sleep") == 0) usleep(number(word[1]) * 1000);
        else { errno = ENOSYS; fail(word[0]); }
        if (marked) mark_end();
        return say_return(result);
    }
    say_return(0);
}

void op_prepare(struct words *words) {
    char **word = words->word;
    if (strcmp(word[0], "make") == 0) file_make(word[1], word[2], number(word[3]), number(word[4]));
    else if (strcmp(word[0], "reopen") == 0) file_reopen(word[1], word[2]);
    else if (strcmp(word[0], "uffd") == 0) {
        long result = uffd_open(word[1]);
        if (result < 0) { errno = (int)-result; fail("userfaultfd"); }
    } else if (strcmp(word[0], "ring") == 0) {
        char parameters[256] = "";
        file_keep(":ring", (int)syscall(SYS_io_uring_setup, 4, parameters));
    } else if (strcmp(word[0], "open") == 0) file_keep(word[1], open(word[2], atoi(word[3]) | O_CLOEXEC));
    else if (strcmp(word[0], "pidfd") == 0) file_keep(word[1], (int)syscall(SYS_pidfd_open, getpid(), 0));
    else { errno = ENOSYS; fail(word[0]); }
}
