/* Descriptors that scripts know by name: the files that back mappings, and a few that the interpreter needs itself. */
#define _GNU_SOURCE
#include "oracle.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST_FILES 32
#define MFD_CLOEXEC_FLAG 1U
#define MFD_HUGETLB_FLAG 4U

static struct file {
    char name[32];
    int fd;
    int made;
    unsigned long inode;
} files[MOST_FILES];
static int count;

const char *file_folder = "/var/tmp";

static struct file *find(const char *name) {
    for (int i = 0; i < count; i++)
        if (strcmp(files[i].name, name) == 0) return &files[i];
    return NULL;
}

int file_descriptor(const char *name) {
    struct file *file = find(name);
    return file == NULL ? -1 : file->fd;
}

void file_keep(const char *name, int fd) {
    struct file *file = find(name);
    struct stat stat;
    if (fd < 0) fail(name);
    if (file == NULL) {
        if (count == MOST_FILES) { errno = EMFILE; fail(name); }
        file = &files[count++];
        snprintf(file->name, sizeof file->name, "%s", name);
    }
    file->fd = fd;
    file->inode = fstat(fd, &stat) == 0 ? stat.st_ino : 0;
}

void file_forget(const char *name) {
    struct file *file = find(name);
    if (file != NULL) file->fd = -1;
}

const char *file_backing(unsigned long inode, const char *path) {
    if (*path == 0 || *path == '[') return "anon";
    if (strncmp(path, "/anon_hugepage", 14) == 0) return "huge";
    if (strncmp(path, "/dev/zero", 9) == 0) return "zero";
    for (int i = 0; i < count; i++)
        if (files[i].made && files[i].inode == inode) return files[i].name;
    return "?";
}

/* The first byte of each page of the first `written` is 100 and up. */
static void fill(int fd, long written) {
    for (long i = 0; i < written; i++) {
        unsigned char byte = 100 + i % 100;
        if (pwrite(fd, &byte, 1, i * PAGE) != 1) fail("fill a file");
    }
}

void file_make(const char *kind, const char *name, long pages, long written) {
    int fd;
    if (strcmp(kind, "disk") == 0) fd = open(file_folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    else fd = syscall(SYS_memfd_create, name, MFD_CLOEXEC_FLAG | (strcmp(kind, "hugetlb") == 0 ? MFD_HUGETLB_FLAG : 0));
    if (fd < 0 || ftruncate(fd, pages * PAGE) != 0) fail(kind);
    fill(fd, written);
    if (strcmp(kind, "disk") == 0 && fsync(fd) != 0) fail("fsync");
    file_keep(name, fd);
    find(name)->made = 1;
}

void file_reopen(const char *name, const char *of) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file_descriptor(of));
    file_keep(name, open(path, O_RDONLY | O_CLOEXEC));
}
