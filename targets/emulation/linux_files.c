/* Files of the harness under Linux: standard input and output. */
#include "harness.h"

extern long read(int file, void *data, size_t bytes);
extern long write(int file, const void *data, size_t bytes);

int harness_read(void *data, size_t bytes) {
    uint8_t *next = data;
    while (bytes > 0) {
        const long done = read(0, next, bytes);
        if (done <= 0) {
            return 0;
        }
        next += done;
        bytes -= (size_t)done;
    }
    return 1;
}

int harness_write(const void *data, size_t bytes) {
    const uint8_t *next = data;
    while (bytes > 0) {
        const long done = write(1, next, bytes);
        if (done <= 0) {
            return 0;
        }
        next += done;
        bytes -= (size_t)done;
    }
    return 1;
}
