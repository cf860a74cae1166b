# Processors: flags for GCC, the machine of QEMU that has one, and where that machine has memory.
GCC_cortex-m4 := -mcpu=cortex-m4 -mfloat-abi=soft
GCC_cortex-m7 := -mcpu=cortex-m7 -mfloat-abi=soft
GCC_cortex-m55 := -mcpu=cortex-m55 -mfloat-abi=soft
# The same for C source with Helium's intrinsics, which GCC has with this convention only; the code stays integer.
SOURCE_cortex-m55 := -mcpu=cortex-m55+nofp -mfloat-abi=softfp

TARGET_cortex-m4 := thumbv7em-none-eabi
TARGET_cortex-m7 := thumbv7em-none-eabi
TARGET_cortex-m55 := thumbv8.1m.main-none-eabi

MACHINE_cortex-m4 := mps2-an386
MACHINE_cortex-m7 := mps2-an500
MACHINE_cortex-m55 := mps3-an547

MEMORY_cortex-m4 := FLASH_ORIGIN=0x0 FLASH_LENGTH=4M RAM_ORIGIN=0x20000000 RAM_LENGTH=4M
MEMORY_cortex-m7 := FLASH_ORIGIN=0x0 FLASH_LENGTH=4M RAM_ORIGIN=0x20000000 RAM_LENGTH=4M
MEMORY_cortex-m55 := FLASH_ORIGIN=0x0 FLASH_LENGTH=512K RAM_ORIGIN=0x20000000 RAM_LENGTH=512K
