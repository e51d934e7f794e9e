/* Swift programs carried out: edits, then checksums, each a few loops over rows of one path. */

/* --- edits ------------------------------------------------------------------------- */

/* `width` octets as they lie in memory. */
INLINE uint64_t load_raw(const uint8_t *at, uint32_t width)
{
    return load_native(at, width);
}

INLINE void store_raw(uint8_t *at, uint64_t value, uint32_t width)
{
    store_native(at, value, width);
}

/* A number as `width` octets of the header. */
INLINE uint32_t as_octets(uint32_t number, uint32_t width)
{
    return width == 4 ? big32(number) : width == 2 ? big16((uint16_t)number) : number;
}

/* Rows that an edit has changed, and those whose value its mapping does not have. */
typedef struct swift_outcome {
    uint32_t changed;
    uint32_t unmapped;
} swift_outcome;

/* What an edit makes of numbers of up to 4 octets, whose first is `lift` bits up in its word; sums
 * get what it changed. Gives how many rows it changed. */
INLINE uint32_t make_numbers(uint32_t count, const uint64_t *restrict old,
                             const uint32_t *restrict given, uint64_t *restrict made,
                             uint32_t *restrict sums, uint32_t mask, uint32_t shift, uint32_t lift,
                             uint32_t width)
{
    const uint32_t octets = as_octets(mask, width);
    uint32_t changed = 0;
    EACH_LANE(count)
    {
        const uint32_t was = (uint32_t)old[m];
        const uint32_t now = (was & ~octets) | (as_octets(given[m] << shift, width) & octets);
        changed += (now != was) & (m < count);
        made[m] = now;
        /* Where less than 32 bits count the others are equal, and add nothing. */
        sums[m] += halves((halves(now) + halves(~was)) << lift);
    }
    return changed;
}

/* What the mapping of an edit makes of the numbers that were found; those that are not in it stay.
 * Gives how many those are. */
static uint32_t map_numbers(const encap_rewriting *job, const encap_edit *edit,
                            const encap_field *field, swift_rows *rows)
{
    uint32_t unmapped = 0;
    EACH_ROW_OF(rows)
    {
        const uint32_t number = as_octets((uint32_t)rows->old[m], field->width);
        encap_wide value = {0, number >> field->shift & field->mask};
        unmapped += !look_up(job, edit, field->kind, &value);
        rows->given[0][m] = (uint32_t)value.low;
    }
    return unmapped;
}

/* Numbers: `width` octets of the header hold one of `size` octets. */
INLINE swift_outcome swift_numbers(swift_rows *rows, const encap_rewriting *job,
                                   const uint32_t *offset, const encap_edit *edit,
                                   const encap_field *field, const uint8_t *values, uint32_t *sums,
                                   uint32_t width, uint32_t size)
{
    const uint32_t at = field->at, odd = (at & 1) != (width == 1 && big16(1) == 1);
    const uint64_t stride = edit->stride;
    uint32_t *given = rows->given[0];
    swift_outcome found = {0, 0};
    EACH_ROW_OF(rows) rows->old[m] = load_raw(rows->frame[m] + offset[m] + at, width);
    if (!edit->values)
        found.unmapped = map_numbers(job, edit, field, rows);
    else
        EACH_ROW_OF(rows) given[m] = (uint32_t)load_native(values + rows->row[m] * stride, size);
    found.changed =
        make_numbers(rows->count, rows->old, given, rows->made, sums,
                     (uint32_t)(field->mask << field->shift), field->shift, odd ? 8 : 0, width);
    EACH_ROW_OF(rows) store_raw(rows->frame[m] + offset[m] + at, rows->made[m], width);
    return found;
}

/* Two whole numbers of 4 octets side by side, at an even place. */
INLINE void make_pairs(uint32_t count, const uint64_t *restrict old, const uint32_t *restrict left,
                       const uint32_t *restrict right, uint64_t *restrict made,
                       uint32_t *restrict sums, swift_outcome found[2])
{
    uint32_t first = 0, second = 0;
    EACH_LANE(count)
    {
        const uint64_t was = old[m], a = big32(left[m]), b = big32(right[m]);
        const uint64_t now = big16(1) == 1 ? a << 32 | b : b << 32 | a;
        const uint64_t other = now ^ was;
        first += ((uint32_t)other != 0) & (m < count);
        second += (other >> 32 != 0) & (m < count);
        made[m] = now;
        sums[m] += quarters(now) + quarters(~was);
    }
    found[big16(1) == 1].changed = first;
    found[big16(1) != 1].changed = second;
}

INLINE void swift_pairs(swift_rows *rows, const uint32_t *offset, uint32_t at,
                        const uint8_t *const values[2], const uint64_t strides[2], uint32_t *sums,
                        swift_outcome found[2])
{
    const uint8_t *left = values[0], *right = values[1];
    const uint64_t step = strides[0], other = strides[1];
    uint32_t *a = rows->given[0], *b = rows->given[1];
    EACH_ROW_OF(rows)
    {
        const uint64_t row = rows->row[m];
        rows->old[m] = load_raw(rows->frame[m] + offset[m] + at, 8);
        a[m] = (uint32_t)load_native(left + row * step, 4);
        b[m] = (uint32_t)load_native(right + row * other, 4);
    }
    make_pairs(rows->count, rows->old, a, b, rows->made, sums, found);
    EACH_ROW_OF(rows) store_raw(rows->frame[m] + offset[m] + at, rows->made[m], 8);
}

/* Addresses, an even number of octets at an even place, from the end of each value. */
INLINE swift_outcome swift_octets(const swift_rows *rows, const uint32_t *offset,
                                  const encap_edit *edit, const encap_field *field,
                                  const uint8_t *values, uint32_t *sums, uint32_t width)
{
    const uint32_t at = field->at;
    const uint64_t stride = edit->stride;
    uint32_t changed = 0;
    EACH_ROW_OF(rows)
    {
        const uint8_t *from = rows->frame[m] + offset[m] + at;
        const uint8_t *value = values + rows->row[m] * stride;
        uint32_t sum = 0, other = 0;
        for (uint32_t i = 0; i < width; i += 2) {
            const uint32_t made = (uint32_t)words_16(value + i), old = (uint32_t)words_16(from + i);
            sum += made + (old ^ 0xffff);
            other |= made ^ old;
        }
        memcpy(rows->frame[m] + offset[m] + at, value, width);
        changed += other != 0;
        sums[m] += sum;
    }
    return (swift_outcome){changed, 0};
}

INLINE swift_outcome make_swift_edit(const rewrite_block *b, swift_rows *rows,
                                     const encap_place *place)
{
    const encap_edit *edit = &b->job->edits[place->edit];
    const encap_field *field = &edit->column.fields[place->field];
    const uint8_t *values = edit->values ? edit->values + b->first * edit->stride : NULL;
    const uint32_t *offset = rows->offset[place->step];
    uint32_t *sums = place->address ? rows->pseudo[place->step] : rows->own[place->step];
    const uint32_t key = swift_edit_key(edit, field);
    if (key > 0x1000)
        values += edit->column.size - field->width;
    switch (key) {
    case 0x11:
        return swift_numbers(rows, b->job, offset, edit, field, values, sums, 1, 1);
    case 0x21:
        return swift_numbers(rows, b->job, offset, edit, field, values, sums, 2, 1);
    case 0x22:
        return swift_numbers(rows, b->job, offset, edit, field, values, sums, 2, 2);
    case 0x41:
        return swift_numbers(rows, b->job, offset, edit, field, values, sums, 4, 1);
    case 0x42:
        return swift_numbers(rows, b->job, offset, edit, field, values, sums, 4, 2);
    case 0x44:
        return swift_numbers(rows, b->job, offset, edit, field, values, sums, 4, 4);
    case 0x1004:
        return swift_octets(rows, offset, edit, field, values, sums, 4);
    case 0x1006:
        return swift_octets(rows, offset, edit, field, values, sums, 6);
    default:
        return swift_octets(rows, offset, edit, field, values, sums, 16);
    }
}

/* True where an edit and the next one set whole numbers of 4 octets, side by side in one header. */
INLINE int is_pair(const encap_rewriting *job, const encap_place *place)
{
    const encap_edit *left = &job->edits[place->edit], *right = &job->edits[place[1].edit];
    if (!left->values || !right->values || place[1].slot != place->slot ||
        !place->address != !place[1].address)
        return 0;
    const encap_field *from = &left->column.fields[place->field];
    const encap_field *to = &right->column.fields[place[1].field];
    return swift_edit_key(left, from) == 0x44 && swift_edit_key(right, to) == 0x44 &&
           from->mask == 0xffffffff && to->mask == 0xffffffff && from->at + 4 == to->at &&
           !(from->at & 1);
}

INLINE void make_pair(const rewrite_block *b, swift_rows *rows, const encap_place *place,
                      swift_outcome found[2])
{
    const encap_edit *edit = &b->job->edits[place->edit], *next = &b->job->edits[place[1].edit];
    const uint8_t *const values[2] = {edit->values + b->first * edit->stride,
                                      next->values + b->first * next->stride};
    const uint64_t strides[2] = {edit->stride, next->stride};
    swift_pairs(rows, rows->offset[place->step], edit->column.fields[place->field].at, values,
                strides, place->address ? rows->pseudo[place->step] : rows->own[place->step],
                found);
}

INLINE void make_swift_edits(const rewrite_block *b, swift_rows *rows, uint64_t *outcomes)
{
    const encap_place *end = b->places + b->program->place_count;
    for (const encap_place *place = b->places; place < end;) {
        swift_outcome found[2] = {{0, 0}, {0, 0}};
        uint32_t count = 1;
        if (place->slot == NO_SLOT) {
            outcomes[(uint64_t)place->edit * ENCAP_OUTCOMES + ENCAP_ABSENT] += rows->count;
            place++;
            continue;
        }
        if (place + 1 < end && is_pair(b->job, place)) {
            make_pair(b, rows, place, found);
            count = 2;
        } else {
            found[0] = make_swift_edit(b, rows, place);
        }
        for (uint32_t i = 0; i < count; i++, place++) {
            uint64_t *mine = outcomes + (uint64_t)place->edit * ENCAP_OUTCOMES;
            mine[ENCAP_CHANGED] += found[i].changed;
            mine[ENCAP_UNMAPPED] += found[i].unmapped;
            mine[ENCAP_SAME] += rows->count - found[i].changed - found[i].unmapped;
        }
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
        const uint32_t inside = carry[m] + own[m], change = fold_word(inside + pseudo[m]);
        uint32_t made = fold_word((stored[m] ^ 0xffff) + change) ^ 0xffff;
        made = made ? made : zero;
        const uint32_t moves = summed[m] & (change && change != 0xffff ? ~0u : 0);
        stored[m] = (made & moves) | (stored[m] & ~moves);
        carry[m] = ((fold_word(pseudo[m]) ^ 0xffff) & summed[m]) | (fold_word(inside) & ~summed[m]);
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
    const uint32_t *offset = rows->offset[number], at = cover->at;
    if (cover->pseudo && b->program->steps[step->network_step].addressed)
        pseudo = rows->pseudo[step->network_step];
    move_sums(rows->count, rows->stored[number], summed, own, pseudo, rows->carry, cover->zero);
    if (cover->optional)
        EACH_ROW_OF(rows)
        {
            if (summed[m])
                store_raw(rows->frame[m] + offset[m] + at, stored[m], 2);
        }
    else
        EACH_ROW_OF(rows) store_raw(rows->frame[m] + offset[m] + at, stored[m], 2);
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
    const uint32_t *stored = rows->stored[number], *offset = rows->offset[number];
    const uint32_t at = cover->at;
    EACH_ROW_OF(rows) store_raw(rows->frame[m] + offset[m] + at, stored[m], 2);
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
        rows->carry[m] = fold_word(rows->carry[m] + (step->own ? rows->own[i][m] : 0) +
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
