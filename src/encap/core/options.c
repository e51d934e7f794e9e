/* One option among those of a header: a Geneve option, or one that is type,
 * length and value. The lists stand where the walk found them; what cannot be
 * read ends a list. */

/* Octets of the option at `at`, with `head` octets before its data; 0 where there is none. */
typedef struct option_shape {
    uint32_t key;
    uint32_t head;
    uint32_t size; /* head and data */
} option_shape;

INLINE option_shape geneve_option(const uint8_t *at, uint64_t left)
{
    option_shape shape = {0, 4, 0};
    if (left >= 4) {
        shape.key = load_be32(at) >> 8;
        shape.size = 4 + 4u * (at[3] & 31);
    }
    return shape;
}

/* Of IPv4 and TCP, whose length counts type and length too, and of IPv6, where it does not. */
INLINE option_shape plain_option(const uint8_t *at, uint64_t left, uint32_t format)
{
    option_shape shape = {at[0], 1, 1};
    if (format == ENCAP_OPTIONS_IPV6 ? at[0] == 0 : at[0] == 1)
        return shape;
    if (format != ENCAP_OPTIONS_IPV6 && at[0] == 0) {
        shape.size = 0; /* the end of the list */
        return shape;
    }
    shape.head = 2;
    shape.size = left < 2 ? 0 : at[1] + (format == ENCAP_OPTIONS_IPV6 ? 2u : 0u);
    if (shape.size < 2)
        shape.size = 0;
    return shape;
}

/* Where the data of the first option with `key` are in data[start, start + length). */
static int find_option(const uint8_t *data, uint64_t start, uint32_t length, uint32_t format,
                       uint32_t key, int64_t *found, uint32_t *found_length)
{
    uint64_t at = start, end = start + length;
    while (at < end) {
        option_shape shape = format == ENCAP_OPTIONS_GENEVE
                                 ? geneve_option(data + at, end - at)
                                 : plain_option(data + at, end - at, format);
        if (!shape.size || shape.size > end - at)
            return 0;
        if (shape.key == key) {
            *found = (int64_t)(at + shape.head);
            *found_length = shape.size - shape.head;
            return 1;
        }
        at += shape.size;
    }
    return 0;
}

void encap_find_options(const uint8_t *data, uint64_t size, const int64_t *starts,
                        const uint32_t *lengths, uint64_t begin, uint64_t end, uint32_t format,
                        uint32_t key, int64_t *found, uint32_t *found_lengths, uint8_t *present)
{
    for (uint64_t row = begin; row < end; row++) {
        found[row] = 0;
        found_lengths[row] = 0;
        present[row] = 0;
        if (span(data, size, (uint64_t)starts[row], lengths[row]))
            present[row] = (uint8_t)find_option(data, (uint64_t)starts[row], lengths[row], format,
                                                key, &found[row], &found_lengths[row]);
    }
}

/* Asks for the octets of a span further on. */
INLINE void prefetch_span(const uint8_t *data, const int64_t *starts, uint64_t row, uint64_t end)
{
    const uint64_t later = row + WALK_FAR < end ? row + WALK_FAR : row;
    prefetch_near((uintptr_t)data + (uintptr_t)starts[later]);
}

void encap_copy_spans(const uint8_t *data, uint64_t size, const int64_t *starts,
                      const uint32_t *lengths, uint64_t begin, uint64_t end, uint32_t width,
                      uint8_t *out)
{
    if (!width)
        return; /* nor is there an `out` */
    for (uint64_t row = begin; row < end; row++) {
        uint32_t length = lengths[row] < width ? lengths[row] : width;
        prefetch_span(data, starts, row, end);
        const uint8_t *from = span(data, size, (uint64_t)starts[row], length);
        memset(out + row * width, 0, width);
        if (from)
            memcpy(out + row * width, from, length);
    }
}

/* A loop of its own for each width: what is constant is loaded at once. */
INLINE void numbers_of(const uint8_t *data, uint64_t size, const int64_t *starts, uint64_t begin,
                       uint64_t end, uint32_t width, uint64_t *out)
{
    for (uint64_t row = begin; row < end; row++) {
        prefetch_span(data, starts, row, end);
        const uint8_t *at = span(data, size, (uint64_t)starts[row], width);
        uint64_t value = 0;
        for (uint32_t i = 0; at && i < width; i++)
            value = value << 8 | at[i];
        out[row] = value;
    }
}

void encap_numbers(const uint8_t *data, uint64_t size, const int64_t *starts, uint64_t begin,
                   uint64_t end, uint32_t width, uint64_t *out)
{
    switch (width) {
    case 2:
        numbers_of(data, size, starts, begin, end, 2, out);
        break;
    case 4:
        numbers_of(data, size, starts, begin, end, 4, out);
        break;
    case 6:
        numbers_of(data, size, starts, begin, end, 6, out);
        break;
    default:
        numbers_of(data, size, starts, begin, end, width < 8 ? width : 8, out);
        break;
    }
}
