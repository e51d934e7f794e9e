/* ESP: what is laid out stays in its room and has the lengths that it says, in one go or in two;
 * the window knows what a list of all numbers knows. */

#define MOST_NUMBERS 64

static encap_esp make_esp(input *in)
{
    static const uint32_t sizes[] = {20, 28, 40, 48};
    const uint64_t bits = take(in, 4);
    encap_esp esp = {.outer_size = sizes[bits & 3],
                     .spi = (uint32_t)(bits * 31),
                     .iv_size = (uint32_t)(bits >> 2 & 1   ? 8
                                           : bits >> 3 & 1 ? 16
                                                           : 0),
                     .icv_size = (uint32_t)(bits >> 4 & 31),
                     .align = (uint32_t)(bits >> 9 & 1 ? 4 : 16),
                     .pad_to = (uint32_t)(bits >> 10 & 255),
                     .flags = (uint32_t)(bits >> 18 & 15)};
    memset(esp.outer, 0xff, sizeof esp.outer);
    esp.outer[0] = bits & 2 ? 0x60 : 0x45;
    if (bits >> 22 & 1) { /* a template that cannot be one */
        esp.outer_size = (uint32_t)take(in, 4);
        esp.iv_size = (uint32_t)take(in, 4);
        esp.align = (uint32_t)take(in, 4);
        esp.pad_to = (uint32_t)take(in, 4);
    }
    return esp;
}

static encap_esp_rows make_esp_rows(const encap_batch *batch, const encap_esp *esp, int64_t *ends)
{
    const uint64_t n = batch->count;
    uint64_t *numbers = keep(8 * n);
    uint16_t *ids = keep(2 * n);
    int64_t *targets = keep(8 * n), *clears = keep(8 * n);
    uint8_t *ivs = keep(n * (esp->iv_size <= 16 ? esp->iv_size : 0));
    int64_t at = 0, clear = 0;
    for (uint64_t row = 0; row < n; row++) {
        const uint64_t frame = row_is_inside(batch, row) ? batch->lengths[row] : 0;
        const uint64_t size = esp_clear_size(esp, frame);
        numbers[row] = row * 0x100000001u;
        ids[row] = (uint16_t)row;
        targets[row] = at;
        clears[row] = clear;
        at += (int64_t)(esp->outer_size + 8u + esp->iv_size + size + esp->icv_size);
        clear += (int64_t)size;
    }
    ends[0] = at;
    ends[1] = clear;
    return (encap_esp_rows){numbers, ids, ivs, targets, clears};
}

/* A header checksum that is right, lengths that are, and a trailer that says what stands before. */
static void check_laid(const encap_batch *batch, uint64_t row, const encap_esp *esp,
                       const encap_esp_rows *rows, const uint8_t *clear, const uint8_t *out)
{
    const uint64_t frame = row_is_inside(batch, row) ? batch->lengths[row] : 0;
    const uint64_t size = esp_clear_size(esp, frame);
    const uint64_t total = esp->outer_size + 8u + esp->iv_size + size + esp->icv_size;
    const uint8_t *outer = out + rows->targets[row], *mine = clear + rows->clears[row];
    if (outer[0] >> 4 == 4) {
        HOLDS(load_be16(outer + 2) == (uint16_t)total);
        HOLDS(encap_checksum(outer, 20) == 0);
    } else {
        HOLDS(load_be16(outer + 4) == (uint16_t)(total - 40));
    }
    HOLDS(load_be32(outer + esp->outer_size) == esp->spi);
    HOLDS(load_be32(outer + esp->outer_size + 4) == (uint32_t)rows->numbers[row]);
    HOLDS(mine[size - 1] == 4 || mine[size - 1] == 41);
    HOLDS(mine[size - 2] + 2u + frame <= size);
    HOLDS(!frame || !memcmp(mine, batch->data + batch->starts[row], frame));
}

static void fuzz_esp_lay(input *in)
{
    const encap_esp esp = make_esp(in);
    const uint32_t tight = (uint32_t)take(in, 1);
    const encap_batch batch = make_batch(in);
    const int known = esp_is_whole(&esp);
    int64_t ends[2] = {0, 0};
    encap_esp_rows rows = {0};
    if (known)
        rows = make_esp_rows(&batch, &esp, ends);
    const uint64_t out_size = (uint64_t)ends[0] * (tight % 4 ? 255 : tight) / 255;
    const uint64_t clear_size = (uint64_t)ends[1] * (tight % 3 ? 255 : tight) / 255;
    uint8_t *out = keep(out_size), *clear = keep(clear_size);
    const int refused =
        encap_esp_lay(&batch, 0, batch.count, &esp, &rows, clear, clear_size, out, out_size);
    HOLDS(encap_esp_lay(&batch, 0, batch.count + 1, &esp, &rows, clear, clear_size, out, out_size));
    if (!known) {
        HOLDS(refused);
        return;
    }
    HOLDS(!refused || out_size < (uint64_t)ends[0] || clear_size < (uint64_t)ends[1]);
    if (refused)
        return;
    for (uint64_t row = 0; row < batch.count; row++)
        check_laid(&batch, row, &esp, &rows, clear, out);
    uint8_t *again = keep(out_size), *clear_again = keep(clear_size);
    const uint64_t middle = batch.count / 2;
    encap_esp_lay(&batch, middle, batch.count, &esp, &rows, clear_again, clear_size, again,
                  out_size);
    encap_esp_lay(&batch, 0, middle, &esp, &rows, clear_again, clear_size, again, out_size);
    HOLDS(!memcmp(out, again, out_size) && !memcmp(clear, clear_again, clear_size));
}

/* A number that came: it is not taken again while it is in the window, nor behind it. */
static void fuzz_esp_replay(input *in)
{
    const uint64_t bits = take(in, 4);
    encap_esp_window window = {.top = take(in, 8),
                               .size = (uint32_t)(bits & 0xffff) % 5000,
                               .esn = (uint32_t)(bits >> 16 & 1)};
    if (!window.esn)
        window.top &= 0xffffffff;
    const uint32_t count = (uint32_t)take(in, 1) % MOST_NUMBERS;
    uint32_t *numbers = keep(4 * count), *highs = keep(4 * count), *foretold = keep(4 * count);
    uint8_t *genuine = keep(count), *verdicts = keep(count);
    uint64_t *came = keep(8 * (count + 1));
    uint32_t known = 0;
    for (uint32_t row = 0; row < count; row++) {
        const uint64_t next = take(in, 3);
        numbers[row] = (uint32_t)window.top + (uint32_t)(next & 0x1fff) - 0xfff;
        if (next >> 13 & 1)
            numbers[row] = (uint32_t)take(in, 4);
        genuine[row] = next >> 14 & 1;
    }
    encap_esp_window copy = window;
    const uint64_t judged = encap_esp_replay(&copy, numbers, 0, count, NULL, foretold, verdicts);
    HOLDS(judged == (window.size > ENCAP_ESP_RING ? 0 : count));
    if (!judged)
        return;
    for (uint32_t row = 0; row < count; row++) {
        highs[row] = esp_high(&window, numbers[row]);
        const uint64_t before = window.top;
        const uint64_t number = (uint64_t)highs[row] << 32 | numbers[row];
        uint32_t other = highs[row] ^ 1;
        HOLDS(encap_esp_replay(&window, numbers + row, 0, 1, genuine, &other, verdicts) == 0);
        HOLDS(encap_esp_replay(&window, numbers, row, row + 1, genuine, highs, verdicts) ==
              row + 1);
        HOLDS(window.top == before || (genuine[row] && window.top == number));
        int seen = 0;
        for (uint32_t i = 0; i < known; i++)
            seen |= came[i] == number;
        HOLDS(!window.size || !seen || verdicts[row] != ENCAP_ESP_NEW);
        HOLDS(seen || verdicts[row] != ENCAP_ESP_SEEN || !known || highs[row] == UINT32_MAX);
        if (verdicts[row] == ENCAP_ESP_NEW && genuine[row])
            came[known++] = number;
    }
}
