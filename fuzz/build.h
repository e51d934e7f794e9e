/* Encapsulation: whatever a plan says, a packet is as long as it was measured, nothing else is
 * written, and all CPU variants write the same. A plan that cannot be is refused. */

#define MOST_TEMPLATE 120

static encap_piece make_piece(input *in, uint64_t rows)
{
    static const uint8_t widths[] = {1, 2, 4};
    encap_piece piece = {.mask = (uint32_t)take(in, 4),
                         .add = (uint32_t)take(in, 2),
                         .source = (uint8_t)(take(in, 1) % (ENCAP_FROM_DF + 1)),
                         .width = widths[take(in, 1) % 3],
                         .shift = (uint8_t)(take(in, 1) % 33),
                         .hole = (uint8_t)(take(in, 1) % 6)};
    piece.stride = piece.width;
    uint8_t *column = keep(rows * piece.width);
    for (uint64_t i = 0; i < rows * piece.width; i++)
        column[i] = (uint8_t)(i * 37);
    piece.column = column;
    return piece;
}

/* The octets of addresses: one piece, as wide as the word. */
static encap_piece make_octets(uint64_t rows, uint32_t size)
{
    uint8_t *column = keep(rows * size);
    for (uint64_t i = 0; i < rows * size; i++)
        column[i] = (uint8_t)(i * 11);
    return (encap_piece){.column = column, .stride = size, .source = ENCAP_FROM_COLUMN};
}

static encap_hole make_hole(input *in, uint64_t rows, uint32_t at)
{
    const uint32_t size = (uint32_t)take(in, 1);
    int64_t *starts = keep(rows * sizeof *starts);
    uint32_t *lengths = keep(rows * sizeof *lengths);
    uint8_t *data = keep(size);
    const uint64_t step = take(in, 1) % 9, length = take(in, 1) % 70;
    for (uint32_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 5);
    for (uint64_t row = 0; row < rows; row++) {
        starts[row] = (int64_t)(row * step);
        lengths[row] = (uint32_t)(length * (row % 3));
    }
    return (encap_hole){data, size, starts, lengths, at, (uint16_t)take(in, 1), 0};
}

static encap_plan *make_plan(input *in, uint64_t rows)
{
    static const uint8_t sizes[] = {2, 4, 2, 4, 6, 16, 0, 4};
    encap_plan *plan = keep(sizeof *plan);
    const uint32_t size = (uint32_t)take(in, 1) % MOST_TEMPLATE;
    encap_word *words = keep(8 * sizeof *words);
    encap_piece *pieces = keep(16 * sizeof *pieces);
    encap_check *checks = keep(4 * sizeof *checks);
    encap_hole *holes = keep(3 * sizeof *holes);
    *plan = (encap_plan){.size = size,
                         .word_count = (uint32_t)take(in, 1) % 9,
                         .piece_count = 16,
                         .check_count = (uint32_t)take(in, 1) % 5,
                         .hole_count = (uint32_t)take(in, 1) % 4,
                         .flow = (uint32_t)take(in, 1) & 1,
                         .inherit = (uint32_t)take(in, 1) & 1,
                         .most = (uint32_t)take(in, 2),
                         .words = words,
                         .pieces = pieces,
                         .checks = checks,
                         .holes = holes,
                         .entropy = {(uint32_t)take(in, 2), (uint32_t)take(in, 2), 0}};
    uint8_t *octets = keep(size);
    memset(octets, 0x5a, size);
    plan->octets = octets;
    for (uint32_t i = 0; i < 16; i++)
        pieces[i] = make_piece(in, rows);
    for (uint32_t i = 0; i < plan->word_count; i++) {
        words[i] = (encap_word){.at = (uint32_t)take(in, 1) % MOST_TEMPLATE,
                                .keep = (uint32_t)take(in, 2),
                                .covers = (uint16_t)(take(in, 1) & 15),
                                .odd = (uint16_t)(take(in, 1) & 15),
                                .first = (uint16_t)(2 * i),
                                .pieces = (uint16_t)(take(in, 1) % 3),
                                .size = sizes[take(in, 1) % sizeof sizes],
                                .holes = (uint8_t)(take(in, 1) % 4)};
        if (words[i].size > 4) {
            words[i].pieces = 1;
            pieces[2 * i] = make_octets(rows, words[i].size);
        }
    }
    for (uint32_t i = 0; i < plan->check_count; i++)
        checks[i] = (encap_check){.at = (uint32_t)take(in, 1) % MOST_TEMPLATE,
                                  .base = (uint32_t)take(in, 2),
                                  .covers = (uint16_t)(take(in, 1) & 15),
                                  .odd = (uint16_t)(take(in, 1) & 15),
                                  .holes = (uint8_t)(take(in, 1) % 4),
                                  .payload = (uint8_t)(take(in, 1) % 3),
                                  .zero = (uint8_t)(take(in, 1) & 1)};
    for (uint32_t i = 0; i < plan->hole_count; i++)
        holes[i] = make_hole(in, rows, (uint32_t)take(in, 1) % MOST_TEMPLATE);
    return plan;
}

static encap_built make_built(uint64_t rows)
{
    return (encap_built){.starts = keep(rows * sizeof(int64_t)),
                         .lengths = keep(rows * sizeof(uint32_t)),
                         .wire_lengths = keep(rows * sizeof(uint32_t)),
                         .problems = keep(rows)};
}

/* Rows up to the first that cannot be built. */
static uint64_t good_rows(const encap_built *built, uint64_t count, uint64_t *octets)
{
    uint64_t row = 0;
    for (*octets = 0; row < count && !built->problems[row]; row++)
        *octets += built->lengths[row];
    return row;
}

static void fuzz_build(input *in)
{
    const uint32_t shape = (uint32_t)take(in, 1);
    const uint64_t room = MOST_ROWS; /* the most that make_batch makes */
    const encap_plan *plans[2 * ENCAP_CARRIED] = {NULL};
    uint8_t *which = keep(room), *first = NULL;
    plans[0] = make_plan(in, room);
    for (uint32_t i = 1; i < 2 * ENCAP_CARRIED; i++)
        plans[i] = shape >> i & 1 ? plans[0] : i == 4 ? make_plan(in, room) : NULL;
    for (uint64_t row = 0; row < room; row++)
        which[row] = (uint8_t)(row * shape % 3);
    const encap_builder builder = {plans, shape & 1 ? which : NULL, 2};
    const encap_batch batch = make_batch(in);
    EVERY_VARIANT(i)
    {
        encap_built built = make_built(batch.count);
        uint64_t troubled, octets;
        const uint64_t total =
            encap_build_measure(&batch, &rules, &builder, 0, batch.count, &built, &troubled);
        if (!plans_hold(&builder)) {
            HOLDS(!total && encap_build_fill(&batch, &rules, &builder, 0, 0, 0, &built));
            continue;
        }
        const uint64_t rows = good_rows(&built, batch.count, &octets);
        if (octets > 1 << 20)
            continue;
        built.octets = keep(octets);
        built.size = octets;
        HOLDS(!encap_build_fill(&batch, &rules, &builder, 0, rows, 0, &built));
        if (octets) {
            HOLDS(encap_build_fill(&batch, &rules, &builder, 0, rows, 1, &built));
            HOLDS(!encap_build_fill(&batch, &rules, &builder, 0, rows, 0, &built));
        }
        if (!i)
            first = built.octets;
        HOLDS(!octets || !memcmp(first, built.octets, octets));
    }
}
