/* The common case of a rewriting, made fast: numbers and addresses that are always there become
 * given values, checksums are updated, and nothing about the path is odd.
 *
 * What a step needs of each row is loaded first, then computed for all rows with vectors, and
 * stored in the end: loops that do one of these alone are short, and compilers know what to make
 * of them. Sums are of words as numbers, 32 bits wide and folded where they could grow too large.
 * Rows that are not common after all (a checksum left to a NIC, a length left open, source routes)
 * are found before anything changes, and left to others. */

/* The count is read once: octets that are stored might be anything, for all a compiler knows. */
#define EACH_ROW_OF(rows) for (uint32_t m = 0, stop = (rows)->count; m < stop; m++)

/* Whole vectors; what stands behind the last row is computed too, and never used. */
#define EACH_LANE(count) for (uint32_t m = 0, lanes = ((count) + 7) & ~7u; m < lanes; m++)

/* --- which programs are swift -------------------------------------------------- */

static int is_swift_kind(const encap_rewriting *job, const encap_step *step)
{
    const encap_cover *cover = &job->covers[step->kind];
    if (step->kind == ENCAP_AH || step->kind == ENCAP_ESP || cover->algorithm != ENCAP_INTERNET)
        return 0;
    if (cover->optional && step->kind != ENCAP_GRE)
        return 0;
    return !cover->pseudo || step->network_step < SWIFT_STEPS;
}

/* A key for the loop that makes an edit; 0 where there is none. */
static uint32_t swift_edit_key(const encap_edit *edit, const encap_field *field)
{
    const uint32_t size = edit->column.size;
    if (!edit->values || field->optional || field->scale != 1 || edit->checksums)
        return 0;
    if (edit->column.form == ENCAP_OCTETS)
        return (field->width == 4 || field->width == 6) || field->width == 16
                   ? 0x1000u + field->width
                   : 0;
    if (field->width == 1 && size == 1)
        return 0x11;
    if (field->width == 2 && size <= 2)
        return 0x20 + size;
    return field->width == 4 && size <= 4 ? 0x40 + size : 0;
}

/* True where a program is swift; its steps and places then say what the loops ask for. */
static int make_swift(const encap_rewriting *job, const uint8_t kind[ENCAP_MAX_LAYERS],
                      encap_program *program, const encap_place *places)
{
    if (job->trial || job->checksums != ENCAP_CHECKSUMS_UPDATE || !program->step_count ||
        program->step_count > SWIFT_STEPS)
        return 0;
    for (uint32_t slot = 0; slot < ENCAP_MAX_LAYERS; slot++)
        if (kind[slot] == ENCAP_LLC || kind[slot] == ENCAP_ROUTING) /* odd offsets; destinations */
            return 0;
    for (uint32_t i = 0; i < program->step_count; i++)
        if (!is_swift_kind(job, &program->steps[i]))
            return 0;
    for (uint32_t i = 0; i < program->place_count; i++) {
        const encap_place *place = &places[i];
        const encap_edit *edit = &job->edits[place->edit];
        if (place->slot == NO_SLOT)
            continue;
        encap_step *step = &program->steps[place->step];
        const encap_field *field = &edit->column.fields[place->field];
        const uint32_t end = (uint32_t)field->at + field->width;
        if (!place->last || (i && !places[i - 1].last) || !swift_edit_key(edit, field) || end > 255)
            return 0;
        step->need = (uint8_t)(end > step->need ? end : step->need);
        step->own |= !place->address;
        step->addressed |= place->address != 0;
    }
    return 1;
}

/* --- where the headers are, and which rows are odd ------------------------------ */

/* Where the headers of each row are. Gives whether a row is odd: not all of them are there. */
INLINE uint32_t find_headers(const rewrite_block *b, swift_rows *rows)
{
    const encap_layers *layers = b->rows.layers;
    uint32_t odd = 0;
    memset(rows->odd, 0, sizeof rows->odd);
    for (uint32_t i = 0; i < b->program->step_count; i++) {
        const uint16_t *offsets = &layers[0].offset[b->program->steps[i].slot];
        const uint32_t need = b->program->steps[i].need;
        uint8_t **at = rows->at[i];
        EACH_ROW_OF(rows)
        {
            const uint32_t row = rows->row[m];
            const uint32_t offset = offsets[row * (sizeof *layers / sizeof *offsets)];
            const uint32_t gone = offset + need > b->rows.sizes[row];
            at[m] = b->octets[row] + offset;
            rows->odd[m] |= gone;
            odd |= gone;
        }
    }
    return odd;
}

INLINE uint32_t halves(uint32_t sum)
{
    return (sum & 0xffff) + (sum >> 16);
}

/* The same sum in 16 bits; 0 only if it is 0. */
INLINE uint32_t fold_number(uint32_t sum)
{
    return halves(halves(sum));
}

/* A row is odd where its checksum is the sum of the pseudo header alone, or may be. */
INLINE void compare_pseudo(uint32_t count, const uint32_t *restrict stored,
                           const uint32_t *restrict lengths, const uint32_t *restrict sums,
                           uint32_t protocol, uint32_t *restrict odd)
{
    EACH_LANE(count)
    {
        const uint32_t pseudo = fold_number(sums[m] + protocol + lengths[m]);
        odd[m] = (pseudo == stored[m]) | (lengths[m] == 0);
    }
}

INLINE void note_pseudo(const encap_program *program, swift_rows *rows, uint32_t number,
                        const encap_cover *cover, int six, int udp)
{
    uint8_t *const *headers = rows->at[number];
    uint8_t *const *networks = rows->at[program->steps[number].network_step];
    uint32_t *sums = rows->old, *lengths = rows->made, *stored = rows->stored[number];
    EACH_ROW_OF(rows)
    {
        const uint8_t *header = headers[m], *ip = networks[m];
        uint32_t length = load_be16(udp ? header + 4 : ip + (six ? 4 : 2));
        if (!udp && length)
            length = (length - (uint32_t)(header - ip) + (six ? 40u : 0u)) & 0xffff;
        lengths[m] = length;
        uint64_t sum = 0;
        for (uint32_t at = six ? 8 : 12; at < (six ? 40 : 20); at += 4)
            sum += load_be32(ip + at);
        sums[m] = halves((uint32_t)sum) + (uint32_t)(sum >> 32);
        stored[m] = load_be16(header + cover->at);
    }
    compare_pseudo(rows->count, stored, lengths, sums, cover->protocol, rows->odd);
    EACH_LANE(rows->count)
    rows->summed[number][m] = cover->zero && !stored[m] ? 0 : ~0u;
}

/* GRE may have no checksum, and source routes of any length. */
static void note_gre(const rewrite_block *b, swift_rows *rows, uint32_t number,
                     const encap_cover *cover)
{
    EACH_ROW_OF(rows)
    {
        const uint32_t row = rows->row[m];
        const uint8_t *header = rows->at[number][m], *frame = b->octets[row];
        const uint64_t offset = (uint64_t)(header - frame), size = b->rows.sizes[row];
        const uint64_t left = offset < size ? size - offset : 0;
        const uint8_t *at = span(header, left, cover->at, cover->size);
        rows->odd[m] = !left || (header[0] & 0x40);
        rows->summed[number][m] = at && has_checksum(cover, header, left) ? ~0u : 0;
        rows->stored[number][m] = at ? load_be16(at) : 0;
    }
}

/* Loads the checksums of a step. Gives whether a row is odd. */
INLINE uint32_t note_step(const rewrite_block *b, swift_rows *rows, uint32_t number)
{
    const encap_step *step = &b->program->steps[number];
    const encap_cover *cover = &b->job->covers[step->kind];
    const int rest = cover->covers == ENCAP_COVERS_REST;
    if (cover->covers == ENCAP_COVERS_NOTHING)
        return 0;
    if (cover->optional) {
        note_gre(b, rows, number, cover);
    } else if (rest && cover->pseudo) {
        const int six = b->program->steps[step->network_step].kind == ENCAP_IPV6;
        if (step->kind == ENCAP_UDP && !six)
            note_pseudo(b->program, rows, number, cover, 0, 1);
        else if (step->kind == ENCAP_UDP)
            note_pseudo(b->program, rows, number, cover, 1, 1);
        else if (!six)
            note_pseudo(b->program, rows, number, cover, 0, 0);
        else
            note_pseudo(b->program, rows, number, cover, 1, 0);
    } else {
        EACH_ROW_OF(rows) rows->stored[number][m] = load_be16(rows->at[number][m] + cover->at);
        memset(rows->summed[number], 0xff, sizeof rows->summed[number]);
        return 0;
    }
    uint32_t odd = 0;
    EACH_ROW_OF(rows) odd |= rows->odd[m];
    return odd;
}

/* Moves odd rows to the end of their group; gives where they begin. */
static uint32_t put_apart(uint8_t *members, uint32_t begin, uint32_t end, const swift_rows *rows)
{
    EACH_ROW_OF(rows) members[rows->odd[m] ? --end : begin++] = rows->row[m];
    return end;
}

/* Fills *rows with the common rows of a group, and moves the odd ones to the group's end; gives
 * where those begin. */
INLINE uint32_t take_common(rewrite_block *b, const path_group *group, swift_rows *rows)
{
    uint32_t end = group->end;
    for (;;) {
        rows->count = end - group->begin;
        memcpy(rows->row, b->rows.members + group->begin, rows->count);
        uint32_t odd = find_headers(b, rows);
        for (uint32_t i = 0; i < b->program->step_count && !odd; i++)
            odd = note_step(b, rows, i);
        if (LIKELY(!odd))
            return end;
        /* Each turn takes rows away, so there is a last one. */
        end = put_apart(b->rows.members, group->begin, end, rows);
    }
}

/* --- edits ------------------------------------------------------------------------- */

/* What an edit makes of numbers; sums get what it changed, times 2^lift. Gives how many rows it
 * changed. */
INLINE uint32_t make_numbers(uint32_t count, const uint32_t *restrict old, uint32_t *restrict made,
                             uint32_t *restrict sums, uint32_t mask, uint32_t shift, uint32_t lift)
{
    uint32_t changed = 0;
    EACH_LANE(count)
    {
        const uint32_t was = old[m], now = (was & ~mask) | (made[m] << shift & mask);
        changed += (now != was) & (m < count);
        made[m] = now;
        /* Where less than 32 bits count the others are equal, and add nothing. */
        sums[m] += halves((halves(now) + halves(~was)) << lift);
    }
    return changed;
}

/* Numbers: `width` octets of the header hold one of `size` octets. */
INLINE uint32_t swift_numbers(swift_rows *rows, uint8_t *const *headers, const encap_field *field,
                              const uint8_t *values, uint64_t stride, uint32_t *sums,
                              uint32_t width, uint32_t size)
{
    const uint32_t at = field->at, odd = at & 1;
    uint32_t *old = rows->old, *made = rows->made;
    EACH_ROW_OF(rows)
    {
        old[m] = (uint32_t)load_wide(headers[m] + at, width);
        made[m] = (uint32_t)load_native(values + rows->row[m] * stride, size);
    }
    const uint32_t changed =
        make_numbers(rows->count, old, made, sums, (uint32_t)(field->mask << field->shift),
                     field->shift, (width == 1) != odd ? 8 : 0);
    EACH_ROW_OF(rows) store_wide(headers[m] + at, made[m], width);
    return changed;
}

/* Addresses, an even number of octets at an even place, from the end of each value. */
INLINE uint32_t swift_octets(const swift_rows *rows, uint8_t *const *headers,
                             const encap_field *field, const uint8_t *values, uint64_t stride,
                             uint32_t *sums, uint32_t width)
{
    const uint32_t at = field->at;
    uint32_t changed = 0;
    EACH_ROW_OF(rows)
    {
        uint8_t *to = headers[m] + at;
        const uint8_t *value = values + rows->row[m] * stride;
        uint32_t sum = 0, other = 0;
        for (uint32_t i = 0; i < width; i += 2) {
            const uint32_t made = load_be16(value + i), old = load_be16(to + i);
            sum += made + (old ^ 0xffff);
            other |= made ^ old;
        }
        memcpy(to, value, width);
        changed += other != 0;
        sums[m] += sum;
    }
    return changed;
}

INLINE uint32_t make_swift_edit(const rewrite_block *b, swift_rows *rows, const encap_place *place)
{
    const encap_edit *edit = &b->job->edits[place->edit];
    const encap_field *field = &edit->column.fields[place->field];
    const uint64_t stride = edit->stride;
    const uint8_t *values = edit->values + b->first * stride;
    uint8_t *const *headers = rows->at[place->step];
    uint32_t *sums = place->address ? rows->pseudo[place->step] : rows->own[place->step];
    const uint32_t key = swift_edit_key(edit, field);
    if (key > 0x1000)
        values += edit->column.size - field->width;
    switch (key) {
    case 0x11:
        return swift_numbers(rows, headers, field, values, stride, sums, 1, 1);
    case 0x21:
        return swift_numbers(rows, headers, field, values, stride, sums, 2, 1);
    case 0x22:
        return swift_numbers(rows, headers, field, values, stride, sums, 2, 2);
    case 0x41:
        return swift_numbers(rows, headers, field, values, stride, sums, 4, 1);
    case 0x42:
        return swift_numbers(rows, headers, field, values, stride, sums, 4, 2);
    case 0x44:
        return swift_numbers(rows, headers, field, values, stride, sums, 4, 4);
    case 0x1004:
        return swift_octets(rows, headers, field, values, stride, sums, 4);
    case 0x1006:
        return swift_octets(rows, headers, field, values, stride, sums, 6);
    default:
        return swift_octets(rows, headers, field, values, stride, sums, 16);
    }
}

INLINE void make_swift_edits(const rewrite_block *b, swift_rows *rows, uint64_t *outcomes)
{
    for (uint32_t i = 0; i < b->program->place_count; i++) {
        const encap_place *place = &b->places[i];
        uint64_t *mine = outcomes + (uint64_t)place->edit * ENCAP_OUTCOMES;
        if (place->slot == NO_SLOT) {
            mine[ENCAP_ABSENT] += rows->count;
            continue;
        }
        const uint32_t changed = make_swift_edit(b, rows, place);
        mine[ENCAP_CHANGED] += changed;
        mine[ENCAP_SAME] += rows->count - changed;
    }
}

/* --- checksums ------------------------------------------------------------------------ */

/* RFC 1624 equation 3 for checksums that what they cover changed by carry + own + pseudo; what
 * they and it change by in the end is carried on. A sum of 0 is stored as `zero`; what changes by
 * nothing keeps the form that it has. */
INLINE void move_sums(uint32_t count, uint32_t *restrict stored, const uint32_t *restrict summed,
                      const uint32_t *restrict own, const uint32_t *restrict pseudo,
                      uint32_t *restrict carry, uint32_t zero)
{
    EACH_LANE(count)
    {
        const uint32_t inside = carry[m] + own[m], change = fold_number(inside + pseudo[m]);
        uint32_t made = fold_number((stored[m] ^ 0xffff) + change) ^ 0xffff;
        made = made ? made : zero;
        const uint32_t moves = summed[m] & (change && change != 0xffff ? ~0u : 0);
        stored[m] = (made & moves) | (stored[m] & ~moves);
        carry[m] =
            ((fold_number(pseudo[m]) ^ 0xffff) & summed[m]) | (fold_number(inside) & ~summed[m]);
    }
}

static const uint32_t NO_CHANGE[REWRITE_ROWS] = {0};

/* A checksum over all that is carried, which then changes as a whole by no more than what the
 * pseudo header did, in the other direction. */
INLINE void carry_swift_rest(const rewrite_block *b, swift_rows *rows, uint32_t number)
{
    const encap_step *step = &b->program->steps[number];
    const encap_cover *cover = &b->job->covers[step->kind];
    const uint32_t *own = step->own ? rows->own[number] : NO_CHANGE, *pseudo = NO_CHANGE;
    const uint32_t *stored = rows->stored[number], *summed = rows->summed[number];
    uint8_t *const *headers = rows->at[number];
    const uint32_t at = cover->at;
    if (cover->pseudo && b->program->steps[step->network_step].addressed)
        pseudo = rows->pseudo[step->network_step];
    move_sums(rows->count, rows->stored[number], summed, own, pseudo, rows->carry, cover->zero);
    if (cover->optional)
        EACH_ROW_OF(rows)
        {
            if (summed[m])
                store_wide(headers[m] + at, stored[m], 2);
        }
    else
        EACH_ROW_OF(rows) store_wide(headers[m] + at, stored[m], 2);
}

/* IPv4: whatever changed in the header is made up for by its own checksum. */
INLINE void carry_swift_header(const rewrite_block *b, swift_rows *rows, uint32_t number)
{
    const encap_step *step = &b->program->steps[number];
    const encap_cover *cover = &b->job->covers[step->kind];
    const uint32_t *own = step->own ? rows->own[number] : NO_CHANGE;
    const uint32_t *pseudo = step->addressed ? rows->pseudo[number] : NO_CHANGE;
    uint32_t alone[REWRITE_ROWS] = {0};
    move_sums(rows->count, rows->stored[number], rows->summed[number], own, pseudo, alone,
              cover->zero);
    EACH_ROW_OF(rows)
    store_wide(rows->at[number][m] + cover->at, rows->stored[number][m], 2);
}

INLINE void carry_swift(const rewrite_block *b, swift_rows *rows)
{
    memset(rows->carry, 0, sizeof rows->carry);
    for (uint32_t i = 0; i < b->program->step_count; i++) {
        const encap_step *step = &b->program->steps[i];
        const uint32_t covers = b->job->covers[step->kind].covers;
        if (covers == ENCAP_COVERS_REST)
            carry_swift_rest(b, rows, i);
        else if (covers == ENCAP_COVERS_HEADER && (step->own || step->addressed))
            carry_swift_header(b, rows, i);
        else if (step->own || step->addressed)
            EACH_LANE(rows->count)
        rows->carry[m] = fold_number(rows->carry[m] + (step->own ? rows->own[i][m] : 0) +
                                     (step->addressed ? rows->pseudo[i][m] : 0));
    }
}

/* Rows of one path whose program is swift; gives where those begin that were left to others. */
INLINE uint32_t rewrite_swiftly(rewrite_block *b, const path_group *group, uint64_t *outcomes)
{
    swift_rows *rows = &b->swift;
    const uint32_t end = take_common(b, group, rows);
    for (uint32_t i = 0; i < b->program->step_count; i++) {
        if (b->program->steps[i].own)
            memset(rows->own[i], 0, sizeof rows->own[i]);
        if (b->program->steps[i].addressed)
            memset(rows->pseudo[i], 0, sizeof rows->pseudo[i]);
    }
    make_swift_edits(b, rows, outcomes);
    carry_swift(b, rows);
    return end;
}
