/*
 * The interpreter of `mmun oracle`: runs mm scripts on this Linux and prints what it did, as JSON lines.
 *
 * One process, the keeper, owns everything that outlives a script: the tracing instance, the pool of huge pages, swap, the log from which all of it is put back. Each
 * script runs in a process of its own with an address space and an empty virtual machine of its own.
 */
#ifndef ORACLE_H
#define ORACLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define KEEPER_NAME "mmun-oracle"

#define PAGE 4096UL
#define ARENA 0x200000000000UL
/* Bytes from the arena's base that count as arena in events and results: 512 GiB. */
#define REACH 0x8000000000UL
/* Pages behind the arena that are looked at too. */
#define SLACK 64
#define MOST_PAGES (8192 + SLACK)
#define MOST_WORDS 24

/* ---- put-back.c: what was changed, so that it can be put back ---- */

/* Puts back what keepers that died without doing so have left, and starts a log of our own. */
void put_back_begin(void);
/* Remembers a change that is about to be made, by what undoes it: write (a value), added (a number), rmdir, swapoff or unlink. */
void put_back_later(const char *what, const char *path, const char *value);
/* Remembers what a knob holds now. Returns 0, or -1 when there is no such knob. */
int put_back_knob(const char *path);
/* Puts everything back, last change first. */
void put_back_now(void);

/* ---- text.c: output and small files ---- */

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Text without characters that JSON does not take. */
void say_text(const char *text, size_t length);
void say_now(void);
void say_nothing(void);
/* Ends the process with a line {"fail":WHAT,"error":ERRNO}. */
void fail(const char *what) __attribute__((noreturn));
long read_number(const char *path);
int read_text(const char *path, char *text, size_t size);
int write_text(const char *path, const char *text);

/* ---- trace.c: what the kernel tells about itself ---- */

struct trace {
    int marker;
    int pipe;
};
/* Finds tracefs, or mounts it where only this process sees it. */
void trace_find(void);
/* Makes the instance; `keeper` and its descendants are traced. Returns the name of an event that is missing, or NULL. */
const char *trace_make(struct trace *trace, pid_t keeper, int cpu);
void trace_close(const struct trace *trace);
/* Threads of the kernel are traced too. */
void trace_daemons(void);
/* Prints "t":[[pid,"event: text"],..] of what lies between the markers, or of everything behind the first. */
void trace_say(const struct trace *trace, int to_the_end);

/* ---- hot.c: what happens between the markers ---- */

/* Everything that is touched between the markers lies here and on the stack, so that no fault of the interpreter's own comes between. */
struct hot {
    char begin[8], end[8];
    int marker;
    long args[6];
    uint64_t words[6][MOST_WORDS];
    int32_t ints[6][MOST_WORDS];
    struct { volatile int armed; int signal, code; unsigned long address; } caught;
    /* Signals of a sweep over pages. */
    struct { int32_t page; int16_t signal, code; } signals[MOST_PAGES];
    void *jump[64];
    unsigned char buffer[PAGE] __attribute__((aligned(4096)));
    unsigned char vector[65536];
};
extern struct hot hot;

long raw_call(long number, const long *args);
void mark_begin(void);
void mark_end(void);
/* Stores to every page of `hot` and of the stack that may be used soon. */
void warm(void);
void catch_signals(void);
/* One load or store: the byte, or -1 when a signal came, which is then in hot.caught. */
int touch(unsigned long address, int store, unsigned char value);

/* ---- snapshot.c ---- */

void snapshot_open(void);
/* Prints "v":[..] and "p":[..]. */
void snapshot_say(long arena);

/* ---- files.c: descriptors that scripts know by name ---- */

/* The descriptor, or -1 for a name that is not there. */
int file_descriptor(const char *name);
void file_keep(const char *name, int fd);
/* The descriptor is closed: its number may soon mean something else. */
void file_forget(const char *name);
/* What a VMA with this inode and path is called. */
const char *file_backing(unsigned long inode, const char *path);
void file_make(const char *kind, const char *name, long pages, long written);
void file_reopen(const char *name, const char *of);
extern const char *file_folder;

/* ---- ops.c ---- */

struct words {
    char *word[32];
    int count;
};
void split(char *line, struct words *words);
/* Runs an op between markers, or without them in a child, and prints the fields of its result. */
void op_run(struct words *words, int marked);
/* Runs a preparation that has no record. */
void op_prepare(struct words *words);
/* A mapping outside of the arena that an op made goes away. */
void op_clean_up(void);
/* The process's own virtual machine. */
void vm_open(void);
void vm_close(void);

/* ---- children.c ---- */

/* fork, child, reap and mrelease. Returns 0 for any other op. */
int child_op(struct words *words);
void children_end(void);
/* What a child does: ops that come on `in`, results on stdout. */
void child_main(int in) __attribute__((noreturn));

/* ---- script.c ---- */

struct script {
    long arena;
    char **lines;
    int count;
};
/*
 * Keeps this process, and all that it forks, on one CPU. An address space that was ever used on another CPU puts its flushes off (should_defer_flush()), so the keeper
 * does this before it forks: a script's process that moved there itself could have begun elsewhere.
 */
void stay_on(int cpu);
void script_run(const struct script *script, const struct trace *trace) __attribute__((noreturn));

#endif
