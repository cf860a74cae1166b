/* Start code of a bare-metal program for Cortex-M: vector table, memory, coprocessors; ends by semihosting. */
#include <stdint.h>

extern uint32_t data_start[], data_end[], data_load[], bss_start[], bss_end[], stack_top[];

int main(void);

static void __attribute__((noreturn)) leave(uint32_t status) {
    const uint32_t arguments[2] = {0x20026u, status}; /* ADP_Stopped_ApplicationExit */
    register uint32_t r0 __asm__("r0") = 0x20;        /* SYS_EXIT_EXTENDED */
    register const uint32_t *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    for (;;) {
    }
}

static void fault(void) { leave(100); }

void __attribute__((noreturn)) reset(void) {
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* CPACR: coprocessors 10 and 11, floating point and Helium */
    __asm__ volatile("dsb\n isb" ::: "memory");
    const uint32_t *from = data_load;
    for (uint32_t *to = data_start; to < data_end; ++to) {
        *to = *from++;
    }
    for (uint32_t *to = bss_start; to < bss_end; ++to) {
        *to = 0;
    }
    leave((uint32_t)main());
}

/* Initial stack, reset, and the faults: NMI, hard, memory, bus, usage, secure. */
__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    stack_top, (const void *)reset, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault, (const void *)fault,
};
