// Stands between the collector and the system, by LD_PRELOAD: makes calls on
// the database's files fail on request, and keeps a journal of what reached the
// disk and the broker, in the order in which it did.
//
// PRELOAD_DATABASE  the database file, as an absolute path
// PRELOAD_FAULT     while this file exists, the calls that it names fail; it
//                   holds an errno and letters: w write, t truncate, s sync,
//                   r read, o open for writing; h and p do not fail, reads (h)
//                   and what opens (p) hang for as long as the file says so; m does not fail, but
//                   moves the database to PRELOAD_DATABASE.moved once its log
//                   was synced, and removes this file
// PRELOAD_FOLDER    where the journal and the copies go
// PRELOAD_PORT      the broker's port
//
// Lines of PRELOAD_FOLDER/journal, F being "db", "wal", "shm" or "journal":
//   w F BYTES     was written to the file
//   s F COPY      the file was synced; what it held then is in FOLDER/COPY.F
//   d             the folder of the database was synced
//   i HEX, o HEX  came from the broker, goes to the broker

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static const char *database, *fault, *folder;
static int port, journal = -1, copies;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void) {
    database = getenv("PRELOAD_DATABASE");
    fault = getenv("PRELOAD_FAULT");
    folder = getenv("PRELOAD_FOLDER");
    port = getenv("PRELOAD_PORT") ? atoi(getenv("PRELOAD_PORT")) : 0;
    if (folder) {
        char path[4096];
        snprintf(path, sizeof path, "%s/journal", folder);
        journal = NEXT(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    }
}

// Which of the database's files a path names; "dir" for its folder.
static const char *kind_of_path(const char *path) {
    static const char *names[][2] = {
        {"", "db"}, {"-wal", "wal"}, {"-shm", "shm"}, {"-journal", "journal"}};
    if (!database || !path)
        return NULL;
    size_t length = strlen(database);
    if (strncmp(path, database, length) == 0) {
        for (int i = 0; i < 4; i++)
            if (strcmp(path + length, names[i][0]) == 0)
                return names[i][1];
        return NULL;
    }
    size_t parent = strrchr(database, '/') - database;
    return strncmp(path, database, parent) == 0 && path[parent] == 0 ? "dir" : NULL;
}

static const char *kind_of(int fd) {
    char link[64], path[4096];
    if (!database)
        return NULL;
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < 0)
        return NULL;
    path[length] = 0;
    return kind_of_path(path);
}

// The errno with which an operation on a database file is to fail; else 0.
static int failing(const char *kind, char operation) {
    char order[64];
    if (!kind || !fault || strcmp(kind, "dir") == 0)
        return 0;
    int before = errno;
    int fd = NEXT(open)(fault, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : NEXT(read)(fd, order, sizeof order - 1);
    if (fd >= 0)
        close(fd);
    errno = before;
    order[length > 0 ? length : 0] = 0;
    return strchr(order, operation) ? atoi(order) : 0;
}

// A disk that neither works nor fails.
static void hang(const char *kind, char operation) {
    while (failing(kind, operation))
        usleep(10000);
}

// Moves the database away, once, as somebody does in the middle of a commit.
static void move_if_asked(const char *kind) {
    char away[4096];
    if (!kind || strcmp(kind, "wal") != 0 || !failing(kind, 'm') || unlink(fault) != 0)
        return;
    snprintf(away, sizeof away, "%s.moved", database);
    rename(database, away);
}

static void note(const char *format, ...) {
    char line[256];
    va_list values;
    va_start(values, format);
    int length = vsnprintf(line, sizeof line, format, values);
    va_end(values);
    NEXT(write)(journal, line, length);
}

static void note_write(const char *kind, ssize_t bytes) {
    if (journal >= 0 && kind && bytes > 0) {
        int before = errno;
        pthread_mutex_lock(&lock);
        note("w %s %zd\n", kind, bytes);
        pthread_mutex_unlock(&lock);
        errno = before;
    }
}

// Copies what the file holds. Not by its name: closing that again would drop
// SQLite's locks.
static void note_sync(int fd, const char *kind) {
    static char block[1 << 16];
    if (journal < 0 || !kind)
        return;
    pthread_mutex_lock(&lock);
    if (strcmp(kind, "dir") == 0) {
        note("d\n");
    } else {
        char path[4096];
        snprintf(path, sizeof path, "%s/%d-%d.%s", folder, getpid(), copies, kind);
        int copy = NEXT(open)(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        ssize_t length;
        for (off_t at = 0; (length = NEXT(pread)(fd, block, sizeof block, at)) > 0; at += length)
            NEXT(write)(copy, block, length);
        close(copy);
        note("s %s %d-%d\n", kind, getpid(), copies++);
    }
    pthread_mutex_unlock(&lock);
}

static int is_broker(int fd) {
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    int before = errno;
    int found = port && getpeername(fd, (struct sockaddr *)&peer, &length) == 0 &&
                peer.sin_family == AF_INET && ntohs(peer.sin_port) == port;
    errno = before;
    return found;
}

static void note_traffic(int fd, char direction, const struct iovec *parts, int count, ssize_t limit) {
    if (journal < 0 || limit <= 0 || !is_broker(fd))
        return;
    int before = errno;
    size_t used = 0;
    char *line = malloc(2 * (size_t)limit + 4);
    used += sprintf(line, "%c ", direction);
    for (int i = 0; i < count; i++)
        for (size_t at = 0; at < parts[i].iov_len && limit > 0; at++, limit--)
            used += sprintf(line + used, "%02x", ((unsigned char *)parts[i].iov_base)[at]);
    line[used++] = '\n';
    pthread_mutex_lock(&lock);
    NEXT(write)(journal, line, used);
    pthread_mutex_unlock(&lock);
    free(line);
    errno = before;
}

static ssize_t bytes_of(const struct iovec *parts, int count) {
    ssize_t bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += parts[i].iov_len;
    return bytes;
}

#define FAIL_IF(kind, operation)                                                                   \
    do {                                                                                           \
        int error = failing(kind, operation);                                                      \
        if (error) {                                                                               \
            errno = error;                                                                         \
            return -1;                                                                             \
        }                                                                                          \
    } while (0)

// What goes to the broker is noted before it goes: by then it must be on disk.
#define OUT(fd, buffer, length)                                                                    \
    do {                                                                                           \
        struct iovec part = {(void *)(buffer), length};                                            \
        note_traffic(fd, 'o', &part, 1, length);                                                   \
    } while (0)

#define IN(fd, buffer, length)                                                                     \
    do {                                                                                           \
        struct iovec part = {buffer, length > 0 ? length : 0};                                     \
        note_traffic(fd, 'i', &part, 1, length);                                                   \
    } while (0)

ssize_t write(int fd, const void *buffer, size_t length) {
    const char *kind = kind_of(fd);
    FAIL_IF(kind, 'w');
    OUT(fd, buffer, length);
    ssize_t written = NEXT(write)(fd, buffer, length);
    note_write(kind, written);
    return written;
}

#define PWRITE(name, offset_type)                                                                  \
    ssize_t name(int fd, const void *buffer, size_t length, offset_type offset) {                  \
        const char *kind = kind_of(fd);                                                            \
        FAIL_IF(kind, 'w');                                                                        \
        ssize_t written = NEXT(name)(fd, buffer, length, offset);                                  \
        note_write(kind, written);                                                                 \
        return written;                                                                            \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t read(int fd, void *buffer, size_t length) {
    FAIL_IF(kind_of(fd), 'r');
    ssize_t bytes = NEXT(read)(fd, buffer, length);
    IN(fd, buffer, bytes);
    return bytes;
}

#define PREAD(name, offset_type)                                                                   \
    ssize_t name(int fd, void *buffer, size_t length, offset_type offset) {                        \
        const char *kind = kind_of(fd);                                                            \
        hang(kind, 'h');                                                                                \
        FAIL_IF(kind, 'r');                                                                        \
        return NEXT(name)(fd, buffer, length, offset);                                             \
    }
PREAD(pread, off_t)
PREAD(pread64, off64_t)

#define SYNC(name)                                                                                 \
    int name(int fd) {                                                                             \
        const char *kind = kind_of(fd);                                                            \
        FAIL_IF(kind, 's');                                                                        \
        int result = NEXT(name)(fd);                                                               \
        if (result == 0) {                                                                         \
            note_sync(fd, kind);                                                                   \
            move_if_asked(kind);                                                                   \
        }                                                                                          \
        return result;                                                                             \
    }
SYNC(fsync)
SYNC(fdatasync)

#define TRUNCATE(name, offset_type)                                                                \
    int name(int fd, offset_type length) {                                                         \
        FAIL_IF(kind_of(fd), 't');                                                                 \
        return NEXT(name)(fd, length);                                                             \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                   \
        va_list values;                                                                            \
        va_start(values, flags);                                                                   \
        int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(values, int) : 0;                      \
        va_end(values);                                                                            \
        hang(kind_of_path(path), 'p');                                                             \
        if (flags & (O_WRONLY | O_RDWR | O_CREAT))                                                 \
            FAIL_IF(kind_of_path(path), 'o');                                                      \
        return NEXT(name)(path, flags, mode);                                                      \
    }
OPEN(open)
OPEN(open64)

ssize_t send(int fd, const void *buffer, size_t length, int flags) {
    OUT(fd, buffer, length);
    return NEXT(send)(fd, buffer, length, flags);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    FAIL_IF(kind_of(fd), 'w');
    note_traffic(fd, 'o', parts, count, bytes_of(parts, count));
    return NEXT(writev)(fd, parts, count);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    note_traffic(fd, 'o', message->msg_iov, message->msg_iovlen,
                 bytes_of(message->msg_iov, message->msg_iovlen));
    return NEXT(sendmsg)(fd, message, flags);
}

ssize_t recv(int fd, void *buffer, size_t length, int flags) {
    ssize_t bytes = NEXT(recv)(fd, buffer, length, flags);
    IN(fd, buffer, bytes);
    return bytes;
}

ssize_t recvfrom(int fd, void *buffer, size_t length, int flags, struct sockaddr *from,
                 socklen_t *from_length) {
    ssize_t bytes = NEXT(recvfrom)(fd, buffer, length, flags, from, from_length);
    IN(fd, buffer, bytes);
    return bytes;
}
