/* Loads, stores and the one bounds check of the core. */

#ifndef ENCAP_BYTES_H
#define ENCAP_BYTES_H

#include "platform.h"

/* Address of `need` readable octets at `at`, or NULL. A subtraction behind a
 * comparison, because `at + need` can wrap. */
static inline const uint8_t *span(const uint8_t *bytes, uint64_t size, uint64_t at, uint64_t need)
{
    return at <= size && size - at >= need ? bytes + at : NULL;
}

static inline uint16_t load_be16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return big16(value);
}

static inline uint32_t load_be32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return big32(value);
}

static inline uint64_t load_be64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return big64(value);
}

#endif
