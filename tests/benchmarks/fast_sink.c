/* An SMTP sink that costs next to nothing: epoll, memmem, no copy of what it reads.
 *
 * usage: fast_sink DELAY_MS PIPELINING(0|1)
 * Prints its port on 127.0.0.1. Each line on stdin is answered by "MAILS BYTES"; it ends
 * with its stdin. Every reply leaves DELAY_MS after the bytes that caused it came in, so
 * commands sent together share one round trip, as on a real line.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 4096, ROOM = 1 << 18, REPLIES = 64, REPLY = 512 };

struct reply { double due; size_t length; char text[REPLY]; };
struct connection {
    int data;                    /* inside the content of a mail */
    size_t kept;                 /* bytes of an unfinished line or of a possible end */
    unsigned first, last;        /* ring of replies not yet due */
    char *buffer;
    struct reply replies[REPLIES];
};

static struct connection *connections[MOST];
static double delay;
static int pipelining, waiting;
static unsigned long long mails, bytes;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void drop(int fd) {
    struct connection *c = connections[fd];
    waiting -= c->last - c->first;
    connections[fd] = NULL;
    free(c->buffer);
    free(c);
    close(fd);
}

/* Adds to the newest reply if that one has the same due time. */
static void say(int fd, double due, const char *text) {
    struct connection *c = connections[fd];
    size_t length = strlen(text);
    struct reply *r = &c->replies[(c->last - 1) % REPLIES];
    if (c->last == c->first || r->due != due || r->length + length > REPLY) {
        if (c->last - c->first == REPLIES) abort();
        r = &c->replies[c->last++ % REPLIES];
        r->due = due;
        r->length = 0;
        waiting++;
    }
    memcpy(r->text + r->length, text, length);
    r->length += length;
}

static void flush(int fd, double at) {
    struct connection *c = connections[fd];
    while (c->first != c->last && c->replies[c->first % REPLIES].due <= at) {
        struct reply *r = &c->replies[c->first++ % REPLIES];
        waiting--;
        if (write(fd, r->text, r->length) < 0 && errno != EAGAIN) { drop(fd); return; }
    }
}

/* Returns 0 when the client has said QUIT. */
static int command(int fd, double due, const char *line) {
    if (!strncasecmp(line, "EHLO", 4))
        say(fd, due, pipelining ? "250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
                                : "250-sink\r\n250 8BITMIME\r\n");
    else if (!strncasecmp(line, "DATA", 4)) {
        connections[fd]->data = 1;
        say(fd, due, "354 go on\r\n");
    } else if (!strncasecmp(line, "QUIT", 4)) return 0;
    else say(fd, due, "250 ok\r\n");
    return 1;
}

/* Takes what it can from the buffer; returns how many bytes, or -1 after QUIT. */
static ssize_t take(int fd, double due, char *start, size_t length) {
    struct connection *c = connections[fd];
    char *at = start, *end = start + length, *found;
    while (at < end) {
        if (c->data) {
            if (!(found = memmem(at, end - at, "\r\n.\r\n", 5))) {
                char *rest = end - at > 4 ? end - 4 : at;
                return rest - start;
            }
            at = found + 5;
            c->data = 0;
            mails++;
            say(fd, due, "250 taken\r\n");
        } else {
            if (!(found = memchr(at, '\n', end - at))) break;
            if (!command(fd, due, at)) return -1;
            at = found + 1;
        }
    }
    return at - start;
}

static void hear(int fd) {
    struct connection *c = connections[fd];
    ssize_t got = read(fd, c->buffer + c->kept, ROOM - c->kept);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) drop(fd);
        return;
    }
    bytes += got;
    double at = now();
    size_t length = c->kept + got;
    ssize_t used = take(fd, at + delay, c->buffer, length);
    if (used < 0) {
        if (write(fd, "221 bye\r\n", 9) < 0) perror("QUIT");
        drop(fd);
        return;
    }
    c->kept = length - used;
    memmove(c->buffer, c->buffer + used, c->kept);
    if (delay == 0) flush(fd, at);
}

static void welcome(int poll, int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), on = 1;
    if (fd < 0) return;
    if (fd >= MOST) { close(fd); return; }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connections[fd] = calloc(1, sizeof(struct connection));
    connections[fd]->buffer = malloc(ROOM);
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
    double at = now();
    say(fd, at + delay, "220 sink ESMTP\r\n");
    if (delay == 0) flush(fd, at);
}

static int listen_on_loopback(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in name = { .sin_family = AF_INET };
    socklen_t size = sizeof name;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&name, size) || listen(fd, 1024)) exit(1);
    getsockname(fd, (struct sockaddr *)&name, &size);
    printf("%d\n", ntohs(name.sin_port));
    fflush(stdout);
    return fd;
}

/* Milliseconds until the next reply is due, -1 for none. */
static int patience(void) {
    double next = 1e300, at = now();
    if (!waiting) return -1;
    for (int fd = 0; fd < MOST; fd++) {
        struct connection *c = connections[fd];
        if (c && c->first != c->last && c->replies[c->first % REPLIES].due < next)
            next = c->replies[c->first % REPLIES].due;
    }
    return next <= at ? 0 : (int)((next - at) * 1000) + 1;
}

int main(int count, char **words) {
    struct epoll_event event = { .events = EPOLLIN }, events[256];
    struct rlimit files = { MOST, MOST };
    delay = count > 1 ? atof(words[1]) / 1000 : 0;
    pipelining = count > 2 ? atoi(words[2]) : 1;
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = listen_on_loopback(), poll = epoll_create1(0);
    event.data.fd = listener;
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    event.data.fd = 0;
    epoll_ctl(poll, EPOLL_CTL_ADD, 0, &event);
    for (;;) {
        int ready = epoll_wait(poll, events, 256, patience());
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            char line[256];
            if (fd == listener) welcome(poll, listener);
            else if (fd == 0) {
                if (read(0, line, sizeof line) <= 0) return 0;
                printf("%llu %llu\n", mails, bytes);
                fflush(stdout);
            } else if (connections[fd]) hear(fd);
        }
        if (waiting) {
            double at = now();
            for (int fd = 0; fd < MOST; fd++) if (connections[fd]) flush(fd, at);
        }
    }
}
