/* ESP around packets: outer headers and padding, and the window against replays.
 *
 * Ciphers are no matter of the core: a plaintext is laid out in one place, the headers around its
 * ciphertext in another. Source: RFC 4303 sections 2, 3.4.3 and appendix A; Linux, esp_output and
 * xfrm_replay.c. */

/* --- sealing --- */

static void store_be16(uint8_t *at, uint32_t value)
{
    const uint16_t octets = big16((uint16_t)value);
    memcpy(at, &octets, sizeof octets);
}

static void store_be32(uint8_t *at, uint32_t value)
{
    const uint32_t octets = big32(value);
    memcpy(at, &octets, sizeof octets);
}

/* Octets of plaintext for a packet of this size: with padding and trailer. */
static uint64_t esp_clear_size(const encap_esp *esp, uint64_t size)
{
    const uint64_t padded = size < esp->pad_to ? esp->pad_to : size;
    const uint64_t align = esp->align ? esp->align : 1;

    return (padded + 2 + align - 1) / align * align;
}

typedef struct esp_inner {
    uint8_t tos;
    uint8_t df;
    uint8_t protocol;
    uint32_t flow_label;
} esp_inner;

/* What the outer header takes over. A packet too short to be one of its version has nothing. */
static esp_inner esp_inner_of(frame_span frame)
{
    esp_inner inner = {0, 1, 41, 0};

    if (frame.size >= 40 && frame.at[0] >> 4 == 6) {
        const uint32_t word = load_be32(frame.at);
        inner.tos = (uint8_t)(word >> 20);
        inner.flow_label = word & 0xfffff;
    } else {
        inner.protocol = 4;
        inner.df = frame.size >= 20 && frame.at[6] & 0x40;
        inner.tos = frame.size >= 20 ? frame.at[1] : 0;
    }
    return inner;
}

static uint8_t esp_outer_tos(const encap_esp *esp, uint8_t tos)
{
    uint32_t ecn = tos & 3, dscp = tos & 0xfc;

    if (ecn == 3 && !(esp->flags & ENCAP_ESP_COPY_CE))
        ecn = 2;
    if (esp->flags & ENCAP_ESP_NO_ECN)
        ecn = 0;
    if (esp->flags & ENCAP_ESP_NO_DSCP)
        dscp = 0;
    return (uint8_t)(dscp | ecn);
}

/* The outer headers, up to and with UDP; `size` octets follow the IP header. */
static void esp_write_outer(const encap_esp *esp, esp_inner inner, uint16_t id, uint64_t size,
                            uint8_t *out)
{
    const uint8_t tos = esp_outer_tos(esp, inner.tos);
    const uint32_t ip_size = esp->outer[0] >> 4 == 6 ? 40 : 20;

    memcpy(out, esp->outer, esp->outer_size);
    if (ip_size == 40) {
        store_be32(out, 6u << 28 | (uint32_t)tos << 20 | inner.flow_label);
        store_be16(out + 4, (uint32_t)size);
    } else {
        const int df = inner.df && !(esp->flags & ENCAP_ESP_NO_DF);
        out[1] = tos;
        store_be16(out + 2, (uint32_t)size + 20);
        store_be16(out + 4, df ? 0 : id);
        store_be16(out + 6, df ? 0x4000 : 0);
        store_be16(out + 10, 0);
        store_be16(out + 10, encap_checksum(out, 20));
    }
    if (esp->outer_size > ip_size)
        store_be16(out + ip_size + 4, (uint32_t)size);
}

/* The plaintext: packet, zeros against traffic analysis, 1, 2, 3 ..., and the trailer. */
static void esp_write_clear(const encap_esp *esp, frame_span frame, uint8_t protocol, uint8_t *out,
                            uint64_t size)
{
    const uint64_t zeros = frame.size < esp->pad_to ? esp->pad_to - frame.size : 0;
    const uint64_t pad = size - 2 - zeros - frame.size;
    uint8_t *at = out + frame.size;

    if (frame.size)
        memcpy(out, frame.at, (size_t)frame.size);
    memset(at, 0, (size_t)zeros);
    at += zeros;
    for (uint64_t i = 0; i < pad; i++)
        *at++ = (uint8_t)(i + 1);
    *at++ = (uint8_t)pad;
    *at = protocol;
}

/* A template that could be one, whose sizes do not add up to more than an array has. */
static int esp_is_whole(const encap_esp *esp)
{
    const uint32_t size = esp->outer_size, ip_size = esp->outer[0] >> 4 == 6 ? 40 : 20;

    return (size == ip_size || size == ip_size + 8) && esp->iv_size <= 16 && esp->icv_size <= 64 &&
           esp->align <= 128 && esp->pad_to <= 65535;
}

/* Rows between the one at work and the one whose octets are asked for. */
#define ESP_AHEAD 3

/* Asks for a packet, and for the place that its headers will have. */
static void esp_prefetch(const encap_batch *batch, uint64_t row, uint64_t end,
                         const encap_esp_rows *rows, const uint8_t *out)
{
    const uint64_t later = row + ESP_AHEAD < end ? row + ESP_AHEAD : row;
    const uintptr_t source = (uintptr_t)batch->data + (uintptr_t)batch->starts[later];
    const uintptr_t target = (uintptr_t)out + (uintptr_t)rows->targets[later];

    for (uint32_t line = 0; line < batch->lengths[later] && line < 1536; line += 64)
        prefetch_near(source + line);
    prefetch_written(target);
    prefetch_written(target + 63);
}

int encap_esp_lay(const encap_batch *batch, uint64_t begin, uint64_t end, const encap_esp *esp,
                  const encap_esp_rows *rows, uint8_t *clear, uint64_t clear_size, uint8_t *out,
                  uint64_t out_size)
{
    if (!rows_exist(batch, begin, end) || !esp_is_whole(esp))
        return -1;
    for (uint64_t row = begin; row < end; row++) {
        esp_prefetch(batch, row, end, rows, out);
        const frame_span frame = row_octets(batch, row);
        const uint64_t size = esp_clear_size(esp, frame.size);
        const uint64_t front = esp->outer_size + 8u + esp->iv_size;
        const uint64_t at = (uint64_t)rows->targets[row], clear_at = (uint64_t)rows->clears[row];
        const esp_inner inner = esp_inner_of(frame);

        if (at > out_size || out_size - at < front + size + esp->icv_size ||
            clear_at > clear_size || clear_size - clear_at < size)
            return -1;
        esp_write_outer(esp, inner, rows->ids[row],
                        front - (esp->outer[0] >> 4 == 6 ? 40u : 20u) + size + esp->icv_size,
                        out + at);
        store_be32(out + at + esp->outer_size, esp->spi);
        store_be32(out + at + esp->outer_size + 4, (uint32_t)rows->numbers[row]);
        if (esp->iv_size)
            memcpy(out + at + esp->outer_size + 8, rows->ivs + row * esp->iv_size, esp->iv_size);
        esp_write_clear(esp, frame, inner.protocol, clear + clear_at, size);
    }
    return 0;
}

/* --- the replay window --- */

/* The upper word of a number, by where the window stands (RFC 4303 appendix A2.2). */
static uint32_t esp_high(const encap_esp_window *window, uint32_t seq)
{
    const uint32_t top = (uint32_t)window->top, high = (uint32_t)(window->top >> 32);
    const uint32_t bottom = top - window->size + 1;

    if (!window->esn)
        return 0;
    if (top >= window->size - 1)
        return high + (seq < bottom);
    return high - (seq >= bottom);
}

/* Numbers share a bit with those that are ENCAP_ESP_RING apart, of which the window knows one. */
static uint64_t *esp_word(encap_esp_window *window, uint32_t seq)
{
    return &window->seen[seq % ENCAP_ESP_RING / 64];
}

static int esp_is_newer(const encap_esp_window *window, uint32_t seq, uint32_t high)
{
    const uint32_t turned = high - (uint32_t)(window->top >> 32);

    return turned ? turned<0x80000000u : seq>(uint32_t) window->top;
}

static uint8_t esp_check(encap_esp_window *window, uint32_t seq, uint32_t high)
{
    const uint32_t top = (uint32_t)window->top, behind = top - seq;

    if (!window->size)
        return ENCAP_ESP_NEW;
    /* With extended numbers 0 is one like others, but for the very first. */
    if (!seq && (!window->esn || (window->top < window->size - 1)))
        return ENCAP_ESP_OLD;
    if (esp_is_newer(window, seq, high))
        return ENCAP_ESP_NEW;
    if (behind >= window->size)
        return ENCAP_ESP_OLD;
    return *esp_word(window, seq) >> seq % 64 & 1 ? ENCAP_ESP_SEEN : ENCAP_ESP_NEW;
}

static void esp_advance(encap_esp_window *window, uint32_t seq, uint32_t high)
{
    if (!window->size)
        return;
    if (esp_is_newer(window, seq, high)) {
        uint64_t step = ((uint64_t)high << 32 | seq) - window->top;
        if (step > ENCAP_ESP_RING)
            step = ENCAP_ESP_RING; /* all bits, once */
        for (uint32_t i = 1; i <= step; i++)
            *esp_word(window, (uint32_t)window->top + i) &=
                ~(1ull << ((uint32_t)window->top + i) % 64);
        window->top = (uint64_t)high << 32 | seq;
    }
    *esp_word(window, seq) |= 1ull << seq % 64;
}

uint64_t encap_esp_replay(encap_esp_window *window, const uint32_t *numbers, uint64_t begin,
                          uint64_t end, const uint8_t *genuine, uint32_t *highs, uint8_t *verdicts)
{
    /* What no window may be larger than is what the ring has room for. */
    if (window->size > ENCAP_ESP_RING)
        return begin;
    for (uint64_t row = begin; row < end; row++) {
        const uint32_t seq = numbers[row], high = esp_high(window, seq);

        if (genuine == NULL)
            highs[row] = high;
        else if (highs[row] != high)
            return row;
        verdicts[row] = esp_check(window, seq, high);
        if (verdicts[row] == ENCAP_ESP_NEW && (genuine == NULL || genuine[row]))
            esp_advance(window, seq, high);
    }
    return end;
}
