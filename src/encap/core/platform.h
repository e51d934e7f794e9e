/* What differs between compilers and processors, and nothing else. */

#ifndef ENCAP_PLATFORM_H
#define ENCAP_PLATFORM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define ENCAP_X86 1
#include <immintrin.h>
#define TARGET(features) __attribute__((target(features)))
#else
#define ENCAP_X86 0
#define TARGET(features)
#endif

#if defined(__aarch64__) && defined(__ARM_NEON) && !defined(__ARM_BIG_ENDIAN)
#define ENCAP_NEON 1
#include <arm_neon.h>
#else
#define ENCAP_NEON 0
#endif

#if defined(__GNUC__) || defined(__clang__)
#define INLINE static inline __attribute__((always_inline))
#define APART static __attribute__((noinline))
#define LIKELY(test) __builtin_expect(!!(test), 1)
#define UNLIKELY(test) __builtin_expect(!!(test), 0)
#define SWAP16(value) __builtin_bswap16(value)
#define SWAP32(value) __builtin_bswap32(value)
#define SWAP64(value) __builtin_bswap64(value)
#else
#define INLINE static inline
#define APART static
#define LIKELY(test) (test)
#define UNLIKELY(test) (test)
#define SWAP16(value) ((uint16_t)((uint16_t)((value) << 8) | (uint16_t)((value) >> 8)))
#define SWAP32(value)                                                                              \
    (((uint32_t)SWAP16((uint16_t)(value)) << 16) | SWAP16((uint16_t)((value) >> 16)))
#define SWAP64(value)                                                                              \
    (((uint64_t)SWAP32((uint32_t)(value)) << 32) | SWAP32((uint32_t)((value) >> 32)))
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define big16(value) ((uint16_t)(value))
#define big32(value) ((uint32_t)(value))
#define big64(value) ((uint64_t)(value))
#else
#define big16(value) ((uint16_t)SWAP16(value))
#define big32(value) ((uint32_t)SWAP32(value))
#define big64(value) ((uint64_t)SWAP64(value))
#endif

/* Ask for a cache line, in the second-level cache or in the first. The address may lie outside of
 * any object, so it is an integer: forming such a pointer would be undefined, fetching is not.
 * What is wanted much later goes to the second level: the first has few lines in flight. */
INLINE void prefetch(uintptr_t address)
{
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch((const void *)address, 0, 2);
#else
    (void)address;
#endif
}

INLINE void prefetch_near(uintptr_t address)
{
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch((const void *)address, 0, 3);
#else
    (void)address;
#endif
}

/* The same for a line that will be written. */
INLINE void prefetch_written(uintptr_t address)
{
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch((const void *)address, 1, 3);
#else
    (void)address;
#endif
}

#endif
