/* What the edits of a rewriting come to in packets of one path. */

/* A bit for each slot whose header the edit is about. */
static uint32_t edited_slots(const uint8_t kind[ENCAP_MAX_LAYERS], const encap_edit *edit)
{
    if (!edit->every) {
        const int8_t slot = find_slot(kind, &edit->column);
        return slot < 0 ? 0 : 1u << slot;
    }
    encap_column one = edit->column;
    uint32_t slots = 0;
    for (one.index = 0; one.index < ENCAP_MAX_LAYERS; one.index++) {
        const int8_t slot = find_slot(kind, &one);
        if (slot < 0)
            break;
        slots |= 1u << slot;
    }
    return slots;
}

/* Which of the edit's fields a header of this kind has; as many as there are where none. */
static uint32_t edited_field(const encap_column *column, uint32_t kind)
{
    uint32_t field = 0;
    while (field < column->field_count && column->fields[field].kind != kind)
        field++;
    return field;
}

/* 1 for the source address of an IP header, 2 for its destination, 0 for other fields. */
static uint8_t address_of(const encap_field *field)
{
    const uint32_t source = field->kind == ENCAP_IPV4 ? 12 : 8;
    if (!is_ip(field->kind) || field->at < source)
        return 0;
    return field->at < (field->kind == ENCAP_IPV4 ? 16 : 24) ? 1 : 2;
}

static uint8_t network_before(const uint8_t kind[ENCAP_MAX_LAYERS], uint32_t slot)
{
    while (slot--)
        if (is_ip(kind[slot]))
            return (uint8_t)slot;
    return NO_SLOT;
}

/* Where the edits apply in packets of this path. Gives the slots that are edited, and those whose
 * addresses are. */
static uint32_t find_places(const encap_rewriting *job, const uint8_t kind[ENCAP_MAX_LAYERS],
                            encap_place *places, uint32_t *edited, uint32_t *addressed)
{
    uint32_t count = 0;
    for (uint32_t e = 0; e < job->edit_count; e++) {
        const encap_edit *edit = &job->edits[e];
        const uint32_t slots = edited_slots(kind, edit), before = count;
        for (uint32_t slot = 0; slot < ENCAP_MAX_LAYERS && count < job->room; slot++) {
            const uint32_t field = edited_field(&edit->column, kind[slot]);
            if (!(slots >> slot & 1) || field == edit->column.field_count)
                continue;
            const uint8_t address = address_of(&edit->column.fields[field]);
            *edited |= 1u << slot;
            *addressed |= (uint32_t)(address != 0) << slot;
            places[count++] = (encap_place){.edit = (uint16_t)e,
                                            .slot = (uint8_t)slot,
                                            .field = (uint8_t)field,
                                            .address = address};
        }
        if (count == before && count < job->room)
            places[count++] = (encap_place){.edit = (uint16_t)e, .slot = NO_SLOT};
        if (count)
            places[count - 1].last = 1;
    }
    return count;
}

/* True where a header that is not edited itself may have to change with those that are. */
static int is_concerned(const encap_rewriting *job, uint32_t kind, uint32_t inner, int addressed)
{
    const encap_cover *cover = &job->covers[kind];
    if (kind == ENCAP_AH)
        return inner || addressed;
    return cover->covers == ENCAP_COVERS_REST && (inner || (cover->pseudo && addressed));
}

/* The slots that get a step: what is edited, what it may concern, and the IP headers in front. */
static uint32_t find_steps(const encap_rewriting *job, const uint8_t kind[ENCAP_MAX_LAYERS],
                           uint32_t edited, uint32_t addressed)
{
    uint32_t steps = edited;
    for (uint32_t slot = ENCAP_MAX_LAYERS; slot--;) {
        const uint8_t network = network_before(kind, slot);
        const int moved = network != NO_SLOT && (addressed >> network & 1);
        if (kind[slot] >= ENCAP_KINDS)
            continue;
        if (is_concerned(job, kind[slot], edited >> slot, moved))
            steps |= 1u << slot;
        if (steps >> slot & 1 && job->covers[kind[slot]].pseudo && network != NO_SLOT)
            steps |= 1u << network;
    }
    return steps;
}

/* Octets of a header that its checksum, and a pseudo header, are made of. */
static uint8_t octets_needed(const encap_cover *cover, uint32_t kind)
{
    if (is_ip(kind))
        return kind == ENCAP_IPV4 ? 20 : 40;
    if (cover->covers == ENCAP_COVERS_NOTHING || cover->optional)
        return 0;
    return (uint8_t)(cover->at + cover->size);
}

static void make_steps(const encap_rewriting *job, const uint8_t kind[ENCAP_MAX_LAYERS],
                       uint32_t wanted, encap_program *program, encap_place *places)
{
    uint8_t step_of[ENCAP_MAX_LAYERS];
    uint32_t steps = 0;
    memset(step_of, NO_STEP, sizeof step_of);
    for (uint32_t slot = ENCAP_MAX_LAYERS; slot--;) {
        if (!(wanted >> slot & 1))
            continue;
        step_of[slot] = (uint8_t)steps;
        program->steps[steps++] =
            (encap_step){.slot = (uint8_t)slot,
                         .kind = kind[slot],
                         .network = network_before(kind, slot),
                         .network_step = NO_STEP,
                         .need = octets_needed(&job->covers[kind[slot]], kind[slot])};
    }
    program->step_count = steps;
    for (uint32_t i = 0; i < steps; i++)
        if (program->steps[i].network != NO_SLOT)
            program->steps[i].network_step = step_of[program->steps[i].network];
    for (uint32_t i = 0; i < program->place_count; i++)
        if (places[i].slot != NO_SLOT)
            places[i].step = step_of[places[i].slot];
}

static void make_program(const encap_rewriting *job, const uint8_t kind[ENCAP_MAX_LAYERS],
                         encap_program *program, encap_place *places)
{
    uint32_t edited = 0, addressed = 0;
    program->place_count = find_places(job, kind, places, &edited, &addressed);
    make_steps(job, kind, find_steps(job, kind, edited, addressed), program, places);
    program->swift = (uint32_t)make_swift(job, kind, program, places);
}
