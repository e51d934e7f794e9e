/* Marks are found where an IP header is, and written nowhere else. */

static void fuzz_marks(input *in)
{
    const uint32_t choice = (uint32_t)take(in, 1);
    uint8_t table[16];
    for (uint32_t i = 0; i < 16; i++)
        table[i] = (uint8_t)take(in, 1);
    const encap_batch batch = make_batch(in);
    const uint64_t rows = batch.count;
    int64_t *inner = keep(8 * rows), *end = keep(8 * rows);
    uint16_t *carried = keep(2 * rows);
    uint8_t *outer = keep(rows), *reasons = keep(rows);
    for (uint64_t row = 0; row < rows; row++) {
        inner[row] = choice & 1 ? (int64_t)(row * 7 % 40) : (int64_t)(row * 0x9e3779b97f4a7c15u);
        end[row] = choice & 2 ? (int64_t)batch.lengths[row] : -(int64_t)row;
        carried[row] = row % 3 ? 0x0800 : row % 2 ? 0x86dd : 0;
        outer[row] = (uint8_t)(row * 37 + choice);
        reasons[row] = row % 5 == 4;
    }
    const encap_marking how = {inner,           end, choice & 4 ? carried : NULL, outer, table,
                               choice >> 3 & 1, 9};
    const encap_marks found = {keep(8 * rows), keep(8 * rows), keep(rows), keep(rows)};
    const uint64_t count = encap_marks_find(&batch, 0, rows, &how, reasons, &found);
    HOLDS(count <= rows);
    uint8_t *octets = copied(batch.data, batch.size);
    int64_t *at = keep(8 * count);
    for (uint64_t i = 0; i < count; i++) {
        HOLDS(found.places[i] >= 0 && (uint64_t)found.places[i] < rows && found.ipv4[i] <= 1);
        at[i] = batch.starts[found.places[i]] + inner[found.places[i]] + found.offsets[i];
    }
    HOLDS(!encap_marks_write(octets, batch.size, at, found.ipv4, found.tos, count));
    encap_marks_write(octets, batch.size, inner, reasons, outer, rows);
}
