/* Fields changed: a group of rows that have one path, one edit after the other. */

INLINE uint64_t load_native(const uint8_t *at, uint32_t size)
{
    uint64_t value = 0;
    switch (size) {
    case 1:
        return *at;
    case 2: {
        uint16_t part;
        memcpy(&part, at, sizeof part);
        return part;
    }
    case 4: {
        uint32_t part;
        memcpy(&part, at, sizeof part);
        return part;
    }
    default:
        memcpy(&value, at, sizeof value);
        return value;
    }
}

/* `width` octets as they lie in memory; one octet is the first of a word. */
INLINE uint64_t load_words(const uint8_t *at, uint32_t width)
{
    return width == 1 ? last_word(*at) : load_native(at, width);
}

INLINE void store_wide(uint8_t *to, uint64_t value, uint32_t width)
{
    switch (width) {
    case 1:
        *to = (uint8_t)value;
        break;
    case 2: {
        const uint16_t part = big16((uint16_t)value);
        memcpy(to, &part, sizeof part);
        break;
    }
    case 4: {
        const uint32_t part = big32((uint32_t)value);
        memcpy(to, &part, sizeof part);
        break;
    }
    default: {
        const uint64_t whole = big64(value);
        memcpy(to, &whole, sizeof whole);
        break;
    }
    }
}

/* A sum whose words are counted from an odd offset, as one from an even offset, or the reverse. */
INLINE uint32_t at_offset(uint32_t sum, uint32_t offset)
{
    return offset & 1 ? (uint32_t)SWAP16((uint16_t)sum) : sum;
}

/* Adds what the octets of an edit changed, `change` being counted from their start. */
INLINE void add_change(rewrite_block *b, uint32_t row, const encap_place *place, uint32_t change,
                       uint32_t offset)
{
    const uint32_t start = b->rows.layers[row].offset[place->slot];
    const uint16_t bit = (uint16_t)(1u << place->step);
    b->own[place->step][row] += at_offset(change, offset);
    b->changed[row] |= bit;
    if (!place->address || (place->address == 2 && b->routed[row] & bit))
        return;
    b->pseudo[place->step][row] += at_offset(change, offset - start);
    b->addressed[row] |= bit;
}

INLINE void note_outcome(rewrite_block *b, uint32_t row, uint32_t outcome)
{
    if (outcome > b->outcome[row])
        b->outcome[row] = (uint8_t)outcome;
}

/* Numbers that are always there, given as values, with constant sizes: the common case. */
#define EDIT_FIXED(width, size)                                                                    \
    static void edit_##width##_##size(rewrite_block *b, const path_group *group,                   \
                                      const encap_place *place, const encap_edit *edit,            \
                                      const encap_field *field)                                    \
    {                                                                                              \
        const uint64_t stride = edit->stride, mask = field->mask << field->shift;                  \
        const uint8_t *values = edit->values + b->first * stride;                                  \
        const uint32_t at = field->at, shift = field->shift, slot = place->slot;                   \
        EACH_MEMBER                                                                                \
        {                                                                                          \
            const uint32_t offset = b->rows.layers[row].offset[slot] + at;                         \
            if (UNLIKELY(offset + (width) > b->rows.sizes[row]))                                   \
                continue;                                                                          \
            uint8_t *to = b->octets[row] + offset;                                                 \
            const uint64_t value = load_native(values + row * stride, size);                       \
            const uint64_t old = load_wide(to, width), words = load_words(to, width);              \
            const uint64_t changed = (old & ~mask) | (value << shift & mask);                      \
            if (changed == old) {                                                                  \
                note_outcome(b, row, ENCAP_SAME);                                                  \
                continue;                                                                          \
            }                                                                                      \
            b->outcome[row] = ENCAP_CHANGED;                                                       \
            if (b->job->trial)                                                                     \
                continue;                                                                          \
            store_wide(to, changed, width);                                                        \
            add_change(                                                                            \
                b, row, place,                                                                     \
                fold_sum((uint64_t)fold_sum(load_words(to, width)) + (uint16_t)~fold_sum(words)),  \
                offset);                                                                           \
        }                                                                                          \
    }

EDIT_FIXED(1, 1)
EDIT_FIXED(2, 1)
EDIT_FIXED(2, 2)
EDIT_FIXED(4, 1)
EDIT_FIXED(4, 2)
EDIT_FIXED(4, 4)

/* The pair whose key is `key`, or NULL. A binary search: found is in [low, high) or nowhere. */
static const encap_mapped *find_mapped(const encap_edit *edit, const encap_mask *in, encap_wide key)
{
    uint64_t high = in->end < edit->mapped_count ? in->end : edit->mapped_count, low = in->begin;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        const encap_mapped *found = &edit->mapped[middle];
        if (found->key.high == key.high && found->key.low == key.low)
            return found;
        if (found->key.high < key.high || (found->key.high == key.high && found->key.low < key.low))
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* What a mapping makes of `*value`, which is in a header of this kind; 0 where nothing. */
static int look_up(const encap_rewriting *job, const encap_edit *edit, uint32_t kind,
                   encap_wide *value)
{
    for (uint32_t i = 0; i < edit->mask_count; i++) {
        const encap_mask *in = &edit->masks[i];
        if (!(in->kinds >> kind & 1))
            continue;
        const encap_wide key = {value->high & in->mask.high, value->low & in->mask.low};
        const encap_mapped *found = find_mapped(edit, in, key);
        if (!found)
            continue;
        value->high = (value->high & found->keep.high) | found->value.high;
        value->low = (value->low & found->keep.low) | found->value.low;
        const uint64_t pair = edit->matched_at + (uint64_t)(found - edit->mapped);
        if (pair < job->matched_count)
            job->matched[pair] = 1;
        return 1;
    }
    return 0;
}

/* Octets of a field, 16 at the most, as a number; an IPv4 address among those of both families as
 * ::ffff:a.b.c.d. */
static encap_wide load_address(const uint8_t *at, uint32_t width, uint32_t size)
{
    uint8_t octets[16] = {0};
    memcpy(octets + 16 - width, at, width);
    if (width == 4 && size == 16)
        memset(octets + 10, 0xff, 2);
    return (encap_wide){load_be64(octets), load_be64(octets + 8)};
}

/* The value that the field at `at` is to have, as octets; 0 where it is not to change. */
static int new_octets(const encap_rewriting *job, const encap_edit *edit, const encap_field *field,
                      const uint8_t *values, const uint8_t *at, uint8_t made[16])
{
    const uint32_t width = field->width, size = edit->column.size;
    if (edit->column.form == ENCAP_OCTETS) {
        if (values) {
            memcpy(made, values + size - width, width);
            return 1;
        }
        encap_wide value = load_address(at, width, size);
        if (!look_up(job, edit, field->kind, &value))
            return 0;
        uint8_t octets[16];
        store_wide(octets, value.high, 8);
        store_wide(octets + 8, value.low, 8);
        memcpy(made, octets + 16 - width, width);
        return 1;
    }
    const uint64_t old = load_wide(at, width), mask = field->mask << field->shift;
    encap_wide value = {0, (old >> field->shift & field->mask) * field->scale};
    if (values)
        value.low = load_native(values, size);
    else if (!look_up(job, edit, field->kind, &value))
        return 0;
    if (field->scale > 1)
        value.low /= field->scale;
    store_wide(made, (old & ~mask) | (value.low << field->shift & mask), width);
    return 1;
}

/* The one's complement sum of new octets less old ones, as words from their start on. */
static uint32_t octets_change(const uint8_t *old, const uint8_t *made, uint32_t width)
{
    uint64_t sum = 0;
    uint32_t at = 0;
    for (; width - at >= 2; at += 2)
        sum += words_16(made + at) + (uint16_t)~words_16(old + at);
    if (width & 1)
        sum += last_word(made[at]) + (uint16_t)~last_word(old[at]);
    return fold_sum(sum);
}

/* Any field in one row. */
static uint32_t edit_row(rewrite_block *b, uint32_t row, const encap_place *place,
                         const encap_edit *edit, const encap_field *field)
{
    uint32_t left;
    uint8_t *header = header_at(b, row, place->slot, &left), made[16];
    if (field->width > sizeof made || field->width > left ||
        (edit->column.form == ENCAP_OCTETS && field->width > edit->column.size) ||
        (field->optional && lacks_options(&b->rows.layers[row], place->slot)))
        return ENCAP_ABSENT;
    const uint8_t *found = locate(field, header, left);
    if (!found)
        return ENCAP_ABSENT;
    uint8_t *at = header + (found - header);
    const uint8_t *values = edit->values ? edit->values + (b->first + row) * edit->stride : NULL;
    if (!new_octets(b->job, edit, field, values, at, made))
        return ENCAP_UNMAPPED;
    if (edit->checksums >> field->kind & 1)
        b->given[row] |= (uint16_t)(1u << place->step);
    if (!memcmp(at, made, field->width))
        return ENCAP_SAME;
    if (b->job->trial)
        return ENCAP_CHANGED;
    const uint32_t change = octets_change(at, made, field->width);
    memcpy(at, made, field->width);
    add_change(b, row, place, change, (uint32_t)(at - b->octets[row]));
    return ENCAP_CHANGED;
}

#define FIXED_EDIT(width, size)                                                                    \
    case (width) * 16 + (size):                                                                    \
        edit_##width##_##size(b, group, place, edit, field);                                       \
        return

static void edit_group(rewrite_block *b, const path_group *group, const encap_place *place,
                       const encap_edit *edit)
{
    const encap_field *field = &edit->column.fields[place->field];
    if (edit->values && edit->column.form == ENCAP_VALUE && !field->optional && field->scale == 1 &&
        !(edit->checksums >> field->kind & 1))
        switch (field->width * 16 + edit->column.size) {
            FIXED_EDIT(1, 1);
            FIXED_EDIT(2, 1);
            FIXED_EDIT(2, 2);
            FIXED_EDIT(4, 1);
            FIXED_EDIT(4, 2);
            FIXED_EDIT(4, 4);
        default:
            break;
        }
    EACH_MEMBER note_outcome(b, row, edit_row(b, row, place, edit, field));
}

static void make_edits(rewrite_block *b, const path_group *group, uint64_t *outcomes)
{
    for (uint32_t i = 0; i < b->program->place_count; i++) {
        const encap_place *place = &b->places[i];
        if (place->slot != NO_SLOT)
            edit_group(b, group, place, &b->job->edits[place->edit]);
        if (!place->last)
            continue;
        EACH_MEMBER
        {
            outcomes[place->edit * ENCAP_OUTCOMES + b->outcome[row]]++;
            b->outcome[row] = ENCAP_ABSENT;
        }
    }
}
