/* The common case of a rewriting, made fast: numbers and addresses that are always there become
 * given values, or numbers what a mapping makes of them, checksums are updated, and nothing about
 * the path is odd.
 *
 * What a step needs of each row is loaded first, then computed for all rows with vectors, and
 * stored in the end: loops that do one of these alone are short, and compilers know what to make
 * of them. Sums are of words as they lie in memory, 32 bits wide and folded where they could grow
 * too large. Rows that are not common after all (a checksum left to a NIC, a length left open,
 * source routes) are found before anything changes, and left to others. */

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
    if (field->optional || field->scale != 1 || edit->checksums)
        return 0;
    if (edit->column.form == ENCAP_OCTETS)
        return edit->values && (field->width == 4 || field->width == 6 || field->width == 16)
                   ? 0x1000u + field->width
                   : 0;
    if (field->width == 1 && size == 1)
        return 0x11;
    if (field->width == 2 && size <= 2)
        return 0x20 + size;
    return field->width == 4 && size <= 4 ? 0x40 + size : 0;
}

/* True where octets of a field are those of another, of an edit before: then it has to see what
 * that one has made. */
static int is_edited_twice(const encap_rewriting *job, const encap_place *places, uint32_t number)
{
    const encap_place *place = &places[number];
    const encap_field *field = &job->edits[place->edit].column.fields[place->field];
    for (uint32_t i = 0; i < number; i++) {
        const encap_field *other = &job->edits[places[i].edit].column.fields[places[i].field];
        if (places[i].slot == place->slot && other->at < field->at + field->width &&
            field->at < other->at + other->width)
            return 1;
    }
    return 0;
}

/* True where a program is swift; its steps and places then say what the loops ask for. */
static int make_swift(const encap_rewriting *job, const uint8_t kind[ENCAP_MAX_LAYERS],
                      encap_program *program, const encap_place *places)
{
    if (job->trial || job->checksums != ENCAP_CHECKSUMS_UPDATE || !program->step_count ||
        program->step_count > SWIFT_STEPS || program->place_count > SWIFT_PLACES)
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
        if (!place->last || (i && !places[i - 1].last) || !swift_edit_key(edit, field) ||
            end > 255 || is_edited_twice(job, places, i))
            return 0;
        step->need = (uint8_t)(end > step->need ? end : step->need);
        step->own |= !place->address;
        step->addressed |= place->address != 0;
    }
    return 1;
}

/* --- where the headers are, and which rows are odd ------------------------------ */

/* True for rows in which a header is not all there. */
INLINE void compare_ends(uint32_t count, const uint32_t *restrict offset, uint32_t need,
                         const uint32_t *restrict size, uint32_t *restrict odd)
{
    EACH_LANE(count) odd[m] |= offset[m] + need > size[m];
}

INLINE uint32_t any_odd(const swift_rows *rows)
{
    uint32_t odd = 0;
    EACH_ROW_OF(rows) odd |= rows->odd[m];
    return odd;
}

/* Where the headers of each row are. Gives whether a row is odd: not all of them are there. */
INLINE uint32_t find_headers(const rewrite_block *b, swift_rows *rows)
{
    const encap_layers *layers = b->rows.layers;
    EACH_ROW_OF(rows)
    {
        const uint32_t row = rows->row[m];
        rows->frame[m] = b->octets[row];
        rows->size[m] = b->rows.sizes[row];
    }
    memset(rows->odd, 0, sizeof rows->odd);
    for (uint32_t i = 0; i < b->program->step_count; i++) {
        const uint16_t *offsets = &layers[0].offset[b->program->steps[i].slot];
        uint32_t *offset = rows->offset[i];
        EACH_ROW_OF(rows) offset[m] = offsets[rows->row[m] * (sizeof *layers / sizeof *offsets)];
        compare_ends(rows->count, offset, b->program->steps[i].need, rows->size, rows->odd);
    }
    return any_odd(rows);
}

INLINE uint32_t halves(uint32_t sum)
{
    return (sum & 0xffff) + (sum >> 16);
}

/* The same sum in 16 bits; 0 only if it is 0. */
INLINE uint32_t fold_word(uint32_t sum)
{
    return halves(halves(sum));
}

/* The words of 8 octets. */
INLINE uint32_t quarters(uint64_t words)
{
    return halves((uint32_t)words) + halves((uint32_t)(words >> 32));
}

INLINE uint32_t swap_word(uint32_t word)
{
    return (word << 8 & 0xff00) | word >> 8;
}

/* A row is odd where its checksum is the sum of the pseudo header alone, or may be. Lengths are
 * words. */
INLINE void compare_pseudo(uint32_t count, const uint32_t *restrict stored,
                           const uint32_t *restrict lengths, const uint64_t *restrict addresses,
                           const uint64_t *restrict more, uint32_t protocol, uint32_t *restrict odd)
{
    EACH_LANE(count)
    {
        const uint32_t sum = quarters(addresses[m]) + (uint32_t)more[m];
        odd[m] = (fold_word(sum + protocol + lengths[m]) == stored[m]) | (lengths[m] == 0);
    }
}

/* Lengths of IP headers become those of what is behind them; 0 stays 0. */
INLINE void shorten(uint32_t count, uint32_t *restrict lengths, const uint32_t *restrict header,
                    const uint32_t *restrict network, uint32_t more)
{
    EACH_LANE(count)
    {
        const uint32_t length = big16(1) == 1 ? lengths[m] : swap_word(lengths[m]);
        const uint32_t rest = (length + more - (header[m] - network[m])) & 0xffff;
        const uint32_t word = big16(1) == 1 ? rest : swap_word(rest);
        lengths[m] = length ? word : 0;
    }
}

/* The checksums of a step as they are. Gives 0 where all of them are. */
INLINE uint32_t load_checksums(swift_rows *rows, uint32_t number, uint32_t at)
{
    const uint32_t *offset = rows->offset[number];
    uint32_t *stored = rows->stored[number], any = 0;
    EACH_ROW_OF(rows)
    any |= stored[m] = (uint32_t)words_16(rows->frame[m] + offset[m] + at);
    return any;
}

INLINE void note_pseudo(const encap_program *program, swift_rows *rows, uint32_t number,
                        const encap_cover *cover, int six, int udp)
{
    const uint32_t *header = rows->offset[number], *stored = rows->stored[number];
    const uint32_t *network = rows->offset[program->steps[number].network_step];
    uint32_t *lengths = rows->given[0];
    EACH_ROW_OF(rows)
    {
        const uint8_t *frame = rows->frame[m], *ip = frame + network[m];
        rows->old[m] = load_native(ip + (six ? 8 : 12), 8);
        if (six)
            rows->made[m] = quarters(load_native(ip + 16, 8)) +
                            (uint64_t)quarters(load_native(ip + 24, 8)) +
                            quarters(load_native(ip + 32, 8));
        lengths[m] = (uint32_t)words_16(udp ? frame + header[m] + 4 : ip + (six ? 4 : 2));
    }
    if (!six)
        memset(rows->made, 0, sizeof rows->made);
    if (!udp)
        shorten(rows->count, lengths, header, network, six ? 40 : 0);
    compare_pseudo(rows->count, stored, lengths, rows->old, rows->made, big16(cover->protocol),
                   rows->odd);
    if (cover->zero)
        EACH_LANE(rows->count) rows->summed[number][m] = stored[m] ? ~0u : 0;
    else
        memset(rows->summed[number], 0xff, sizeof rows->summed[number]);
}

/* GRE may have no checksum, and source routes of any length. */
static void note_gre(swift_rows *rows, uint32_t number, const encap_cover *cover)
{
    EACH_ROW_OF(rows)
    {
        const uint32_t offset = rows->offset[number][m], size = rows->size[m];
        const uint32_t left = offset < size ? size - offset : 0;
        const uint8_t *header = rows->frame[m] + (left ? offset : 0);
        const uint8_t *at = span(header, left, cover->at, cover->size);
        rows->odd[m] = !left || (header[0] & 0x40);
        rows->summed[number][m] = at && has_checksum(cover, header, left) ? ~0u : 0;
        rows->stored[number][m] = at ? (uint32_t)words_16(at) : 0;
    }
}

/* Loads the checksums of a step. Gives whether a row is odd. */
INLINE uint32_t note_step(const rewrite_block *b, swift_rows *rows, uint32_t number)
{
    const encap_step *step = &b->program->steps[number];
    const encap_cover *cover = &b->job->covers[step->kind];
    const int rest = cover->covers == ENCAP_COVERS_REST;
    if (cover->covers == ENCAP_COVERS_NOTHING || (!rest && !step->own && !step->addressed))
        return 0;
    if (cover->optional) {
        note_gre(rows, number, cover);
        return any_odd(rows);
    }
    const uint32_t any = load_checksums(rows, number, cover->at);
    if (cover->zero && !any) {
        memset(rows->summed[number], 0, sizeof rows->summed[number]);
        return 0;
    }
    if (!rest || !cover->pseudo) {
        memset(rows->summed[number], 0xff, sizeof rows->summed[number]);
        return 0;
    }
    const int six = b->program->steps[step->network_step].kind == ENCAP_IPV6;
    if (step->kind == ENCAP_UDP && !six)
        note_pseudo(b->program, rows, number, cover, 0, 1);
    else if (step->kind == ENCAP_UDP)
        note_pseudo(b->program, rows, number, cover, 1, 1);
    else if (!six)
        note_pseudo(b->program, rows, number, cover, 0, 0);
    else
        note_pseudo(b->program, rows, number, cover, 1, 0);
    return any_odd(rows);
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
