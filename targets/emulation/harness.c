/* Runs a model on samples: reads a request and inputs, writes statuses and outputs.

   Request: samples, shift of tensors, shift of the arena, bytes of the arena (see harness_call), 32 bits each. Then for
   each sample all inputs, one behind the other, among them those that make states what a sample gives; back come the
   status of the call and all outputs.

   Before each call the arena, the outputs, and the room around every memory hold HARNESS_FRESH in each byte: a result
   that depends on bytes that nobody wrote is wrong, a byte that is written outside of its memory is found. */
#include "harness.h"

#define FRESH_WORD (HARNESS_FRESH * 0x01010101u)

__attribute__((noinline)) void harness_done(void) { __asm__ volatile("" ::: "memory"); }

static void fill(uint8_t *from, const uint8_t *end) {
    while (from < end && (uintptr_t)from % 4 != 0) {
        *from++ = HARNESS_FRESH;
    }
    for (; end - from >= 4; from += 4) {
        *(uint32_t *)from = FRESH_WORD;
    }
    while (from < end) {
        *from++ = HARNESS_FRESH;
    }
}

static int is_fresh(const uint8_t *from, const uint8_t *end) {
    while (from < end) {
        if (*from++ != HARNESS_FRESH) {
            return 0;
        }
    }
    return 1;
}

static size_t shift_of(const harness_memory *memory, const int32_t *request) {
    return HARNESS_ROOM + (size_t)(memory->kind == HARNESS_ARENA ? request[2] : request[1]);
}

static void prepare(const int32_t *request) {
    for (size_t i = 0; i < harness_memory_count; ++i) {
        const harness_memory *m = &harness_memories[i];
        uint8_t *start = m->memory + shift_of(m, request), *end = m->memory + m->bytes + 2 * HARNESS_ROOM;
        fill(m->memory, start);
        fill(m->kind == HARNESS_KEPT ? start + m->bytes : start, end);
    }
}

/* The status, or what says that the call wrote where it must not. */
static int32_t checked(int32_t status, const int32_t *request) {
    for (size_t i = 0; i < harness_memory_count; ++i) {
        const harness_memory *m = &harness_memories[i];
        const uint8_t *start = m->memory + shift_of(m, request), *end = m->memory + m->bytes + 2 * HARNESS_ROOM;
        if (!is_fresh(m->memory, start) || !is_fresh(start + m->bytes, end)) {
            return HARNESS_OUTSIDE + (int32_t)i;
        }
        if (status != 0 && m->kind == HARNESS_OUTPUT && !is_fresh(start, start + m->bytes)) {
            return HARNESS_DESPITE_ERROR + (int32_t)i;
        }
    }
    return status;
}

static int transfer(const harness_tensor *tensors, size_t count, size_t shift, int (*one)(void *, size_t)) {
    for (size_t i = 0; i < count; ++i) {
        if (!one(tensors[i].memory + HARNESS_ROOM + shift, tensors[i].bytes)) {
            return 0;
        }
    }
    return 1;
}

static int write_one(void *data, size_t bytes) { return harness_write(data, bytes); }

int main(void) {
    int32_t request[4];
    if (!harness_read(request, sizeof request)) {
        return 2;
    }
    const size_t shift = (size_t)request[1], arena_shift = (size_t)request[2];
    for (int32_t sample = 0; sample < request[0]; ++sample) {
        if (!transfer(harness_input_tensors, harness_input_count, shift, harness_read)) {
            return 3;
        }
        prepare(request);
        int32_t status = harness_call(shift, arena_shift, request[3]);
        harness_done();
        status = checked(status, request);
        if (!harness_write(&status, sizeof status)) {
            return 4;
        }
        if (!transfer(harness_output_tensors, harness_output_count, shift, write_one)) {
            return 4;
        }
    }
    return 0;
}
