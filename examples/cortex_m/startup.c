/* Reset of a bare Cortex-M: vector table, memory, floating point and vector unit, main.
   The chip's memory is described in the linker script; nothing here depends on a vendor's headers. */
#include <stdint.h>
#include <string.h>

#include "semihosting.h"

extern uint32_t image_stack_top[];                                        /* from the linker script */
extern uint8_t image_data_load[], image_data[], image_data_end[], image_bss[], image_bss_end[];

int main(void);
void reset_handler(void);

#define CPACR (*(volatile uint32_t *)0xE000ED88u) /* coprocessor access control */

static void fault_handler(void) {
    semihosting_write("fault\n");
    semihosting_exit(1);
}

typedef void (*handler)(void);

/* Initial stack pointer, reset, NMI, hard fault, memory, bus, usage and secure fault, and the rest of the system's. */
__attribute__((section(".vectors"), used)) static const handler vectors[16] = {
    (handler)(uintptr_t)image_stack_top, reset_handler, fault_handler, fault_handler, fault_handler, fault_handler,
    fault_handler, fault_handler, fault_handler, fault_handler, fault_handler, fault_handler,
    fault_handler, fault_handler, fault_handler, fault_handler,
};

void reset_handler(void) {
    CPACR |= 0xFu << 20; /* full access to coprocessors 10 and 11: floating point and Helium */
    __asm volatile("dsb\n isb" ::: "memory");
    memcpy(image_data, image_data_load, (size_t)(image_data_end - image_data));
    memset(image_bss, 0, (size_t)(image_bss_end - image_bss));
    semihosting_exit(main());
}
