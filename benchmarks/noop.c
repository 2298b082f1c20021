/* The entrypoint of a no-op experiment: says when it started, prints its metric, ends. With a number as its
   argument it writes that many bytes of log lines in between. Small and static, so that what is measured
   is the scheduler: cc -O2 -static -o noop noop.c */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char block[1000000];

int main(int count, char **arguments) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    printf("started_ns %lld%09ld\n", (long long)now.tv_sec, now.tv_nsec);
    fflush(stdout);
    long long left_bytes = count > 1 ? atoll(arguments[1]) : 0;
    if (left_bytes > 0) memset(block, 'x', sizeof block);
    for (size_t end = 99; left_bytes > 0 && end < sizeof block; end += 100) block[end] = '\n';
    while (left_bytes > 0) {
        size_t part = left_bytes < (long long)sizeof block ? (size_t)left_bytes : sizeof block;
        ssize_t written = write(1, block, part);
        if (written < 0) return 1;
        left_bytes -= written;
    }
    puts("val: 1");
    return 0;
}
