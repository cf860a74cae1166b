/* Runs a model on samples: reads a request and inputs, writes statuses and outputs.

   Request: samples, shift of tensors, shift of the arena, bytes of the arena (see harness_call), 32 bits each. Then for
   each sample all inputs, one behind the other, among them those that make states what a sample gives; back come the
   status of the call and all outputs. */
#include "harness.h"

__attribute__((noinline)) void harness_done(void) { __asm__ volatile("" ::: "memory"); }

static int transfer(const harness_tensor *tensors, size_t count, size_t shift, int (*one)(void *, size_t)) {
    for (size_t i = 0; i < count; ++i) {
        if (!one(tensors[i].memory + shift, tensors[i].bytes)) {
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
        const int32_t status = harness_call(shift, arena_shift, request[3]);
        harness_done();
        if (!harness_write(&status, sizeof status)) {
            return 4;
        }
        if (!transfer(harness_output_tensors, harness_output_count, shift, write_one)) {
            return 4;
        }
    }
    return 0;
}
