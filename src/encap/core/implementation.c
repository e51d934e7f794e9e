/* The CPU variants: every kernel that exists more than once, and which is used.
 *
 * The kernels are inline and take their inner part as a constant, so that each
 * variant gets whole loops compiled for its processor, without a call a row. */

typedef struct implementation {
    const char *name;
    int (*supported)(void);
    uint16_t (*sum)(const uint8_t *from, uint64_t size); /* folded, in memory order */
    uint16_t (*copy_sum)(uint8_t *to, const uint8_t *from, uint64_t size);
    void (*copy)(uint8_t *to, const uint8_t *from, uint64_t size);
    void (*checksums)(const encap_batch *batch, uint64_t begin, uint64_t end, uint16_t *sums);
    int (*compact)(const encap_batch *batch, uint64_t begin, uint64_t end, const int64_t *targets,
                   uint8_t *out, uint64_t out_size);
    int (*rewrite)(const encap_batch *from, const encap_batch *batch, const encap_rules *rules,
                   uint64_t begin, uint64_t end, const encap_rewriting *job, encap_paths *paths,
                   encap_layers *layers, uint16_t *path_ids, encap_program *programs,
                   encap_place *places, uint8_t *octets, uint64_t *outcomes, uint64_t *lefts);
    int (*splice)(const encap_batch *batch, uint64_t begin, uint64_t end, const uint32_t *at,
                  const uint32_t *removed, const uint32_t *inserted, const uint8_t *octets,
                  uint64_t stride, uint32_t width, const int64_t *targets, uint8_t *out,
                  uint64_t out_size);
    rows_kernel *rows;
    void (*columns)(const encap_batch *batch, const encap_rules *rules, uint64_t begin,
                    uint64_t end, encap_paths *paths, int8_t *slots, const encap_column *columns,
                    uint32_t column_count, uint8_t *const *outs);
    void (*receive)(const encap_batch *batch, const encap_rules *rules, uint64_t begin,
                    uint64_t end, encap_paths *paths, int8_t *slots, const encap_column *columns,
                    uint32_t column_count, uint8_t *const *outs, const encap_receiver *host,
                    const encap_received *out);
    uint64_t (*decap)(const encap_batch *batch, const encap_rules *rules, uint64_t begin,
                      uint64_t end, const encap_wanted *wanted, uint64_t at,
                      const encap_unwrapped *out);
    void (*flow_hash)(const encap_batch *batch, const encap_rules *rules, uint64_t begin,
                      uint64_t end, const encap_flow_wanted *wanted, const encap_column *column,
                      encap_paths *paths, int8_t *slots, uint32_t *out);
    uint64_t (*measure)(const encap_batch *batch, const encap_rules *rules,
                        const encap_builder *builder, uint64_t begin, uint64_t end,
                        const encap_built *out, uint64_t *troubled);
    int (*build)(const encap_batch *batch, const encap_rules *rules, const encap_builder *builder,
                 uint64_t begin, uint64_t end, uint64_t at, const encap_built *out);
    judge_kernel *judge;
    int (*fix)(const encap_batch *from, const encap_batch *batch, const encap_rules *rules,
               const encap_cover *covers, uint64_t begin, uint64_t end, uint32_t wanted,
               uint8_t *octets, encap_fixes *fixes);
} implementation;

/* The kernels of one variant, and its row of the table. */
#define KERNELS(variant, ATTRIBUTES)                                                               \
    ATTRIBUTES static uint16_t variant##_sum(const uint8_t *from, uint64_t size)                   \
    {                                                                                              \
        return sum_blocks(0, NULL, from, size, pass_##variant);                                    \
    }                                                                                              \
    ATTRIBUTES static uint16_t variant##_copy_sum(uint8_t *to, const uint8_t *from, uint64_t size) \
    {                                                                                              \
        return sum_blocks(1, to, from, size, pass_##variant);                                      \
    }                                                                                              \
    ATTRIBUTES static void variant##_copy(uint8_t *to, const uint8_t *from, uint64_t size)         \
    {                                                                                              \
        copy_##variant(to, from, size);                                                            \
    }                                                                                              \
    ATTRIBUTES static void variant##_checksums(const encap_batch *batch, uint64_t begin,           \
                                               uint64_t end, uint16_t *sums)                       \
    {                                                                                              \
        checksum_rows(batch, begin, end, sums, pass_##variant);                                    \
    }                                                                                              \
    ATTRIBUTES static int variant##_compact(const encap_batch *batch, uint64_t begin,              \
                                            uint64_t end, const int64_t *targets, uint8_t *out,    \
                                            uint64_t out_size)                                     \
    {                                                                                              \
        return compact_rows(batch, begin, end, targets, out, out_size, copy_##variant);            \
    }                                                                                              \
    ATTRIBUTES static void variant##_rows(                                                         \
        const encap_batch *batch, const encap_rules *rules, uint64_t begin, uint64_t end,          \
        uint64_t last, encap_paths *paths, encap_layers *layers, uint16_t *path_ids)               \
    {                                                                                              \
        parse_rows(batch, rules, begin, end, last, paths, layers, path_ids);                       \
    }                                                                                              \
    ATTRIBUTES static int variant##_rewrite(                                                       \
        const encap_batch *from, const encap_batch *batch, const encap_rules *rules,               \
        uint64_t begin, uint64_t end, const encap_rewriting *job, encap_paths *paths,              \
        encap_layers *layers, uint16_t *path_ids, encap_program *programs, encap_place *places,    \
        uint8_t *octets, uint64_t *outcomes, uint64_t *lefts)                                      \
    {                                                                                              \
        return rewrite_rows(from, batch, rules, begin, end, job, paths, layers, path_ids,          \
                            programs, places, octets, outcomes, lefts, variant##_rows,             \
                            copy_##variant, variant##_sum);                                        \
    }                                                                                              \
    ATTRIBUTES static int variant##_splice(                                                        \
        const encap_batch *batch, uint64_t begin, uint64_t end, const uint32_t *at,                \
        const uint32_t *removed, const uint32_t *inserted, const uint8_t *octets, uint64_t stride, \
        uint32_t width, const int64_t *targets, uint8_t *out, uint64_t out_size)                   \
    {                                                                                              \
        return splice_rows(batch, begin, end, at, removed, inserted, octets, stride, width,        \
                           targets, out, out_size, copy_##variant);                                \
    }                                                                                              \
    ATTRIBUTES static void variant##_columns(const encap_batch *batch, const encap_rules *rules,   \
                                             uint64_t begin, uint64_t end, encap_paths *paths,     \
                                             int8_t *slots, const encap_column *columns,           \
                                             uint32_t column_count, uint8_t *const *outs)          \
    {                                                                                              \
        columns_rows(batch, rules, begin, end, paths, slots, columns, column_count, outs,          \
                     variant##_rows);                                                              \
    }                                                                                              \
    ATTRIBUTES static void variant##_receive(                                                      \
        const encap_batch *batch, const encap_rules *rules, uint64_t begin, uint64_t end,          \
        encap_paths *paths, int8_t *slots, const encap_column *columns, uint32_t column_count,     \
        uint8_t *const *outs, const encap_receiver *host, const encap_received *out)               \
    {                                                                                              \
        receive_rows(batch, rules, begin, end, paths, slots, columns, column_count, outs, host,    \
                     out, variant##_rows, pass_##variant);                                         \
    }                                                                                              \
    ATTRIBUTES static uint64_t variant##_decap(                                                    \
        const encap_batch *batch, const encap_rules *rules, uint64_t begin, uint64_t end,          \
        const encap_wanted *wanted, uint64_t at, const encap_unwrapped *out)                       \
    {                                                                                              \
        return unwrap_rows(batch, rules, begin, end, wanted, at, out, copy_##variant);             \
    }                                                                                              \
    ATTRIBUTES static void variant##_flow_hash(                                                    \
        const encap_batch *batch, const encap_rules *rules, uint64_t begin, uint64_t end,          \
        const encap_flow_wanted *wanted, const encap_column *column, encap_paths *paths,           \
        int8_t *slots, uint32_t *out)                                                              \
    {                                                                                              \
        hash_rows(batch, rules, begin, end, wanted, column, paths, slots, variant##_rows, out);    \
    }                                                                                              \
    ATTRIBUTES static uint64_t variant##_measure(                                                  \
        const encap_batch *batch, const encap_rules *rules, const encap_builder *builder,          \
        uint64_t begin, uint64_t end, const encap_built *out, uint64_t *troubled)                  \
    {                                                                                              \
        return measure_rows(batch, rules, builder, begin, end, out, troubled);                     \
    }                                                                                              \
    ATTRIBUTES static int variant##_build(const encap_batch *batch, const encap_rules *rules,      \
                                          const encap_builder *builder, uint64_t begin,            \
                                          uint64_t end, uint64_t at, const encap_built *out)       \
    {                                                                                              \
        return build_rows(batch, rules, builder, begin, end, at, out, copy_##variant,              \
                          copy_pass_##variant);                                                    \
    }                                                                                              \
    ATTRIBUTES static void variant##_judge_odd(judged *now, const path_checks *path,               \
                                               uint32_t wire_length, uint8_t verdicts[SLOTS])      \
    {                                                                                              \
        judge_odd_packet(now, path, wire_length, verdicts, pass_##variant, crc_##variant);         \
    }                                                                                              \
    ATTRIBUTES static void variant##_judge(                                                        \
        const encap_batch *batch, const encap_rules *rules, const encap_cover *covers,             \
        uint64_t begin, uint64_t end, uint64_t last, encap_paths *paths, encap_layers *layers,     \
        uint16_t *path_ids, frame_span frames[ROUND], uint8_t *verdicts)                           \
    {                                                                                              \
        judge_rows(batch, rules, covers, begin, end, last, paths, layers, path_ids, frames,        \
                   verdicts, pass_##variant, crc_##variant, variant##_judge_odd);                  \
    }                                                                                              \
    ATTRIBUTES static int variant##_fix(const encap_batch *from, const encap_batch *batch,         \
                                        const encap_rules *rules, const encap_cover *covers,       \
                                        uint64_t begin, uint64_t end, uint32_t wanted,             \
                                        uint8_t *octets, encap_fixes *fixes)                       \
    {                                                                                              \
        return fix_rows(from, batch, rules, covers, begin, end, wanted, octets, fixes,             \
                        copy_##variant, variant##_sum, variant##_judge);                           \
    }

/* clang-format off: one a line */
#define ROW(variant)                                                                               \
    {                                                                                              \
        .name = #variant,                                                                          \
        .supported = variant##_supported,                                                          \
        .sum = variant##_sum,                                                                      \
        .copy_sum = variant##_copy_sum,                                                            \
        .copy = variant##_copy,                                                                    \
        .checksums = variant##_checksums,                                                          \
        .compact = variant##_compact,                                                              \
        .rewrite = variant##_rewrite,                                                              \
        .splice = variant##_splice,                                                                \
        .rows = variant##_rows,                                                                    \
        .columns = variant##_columns,                                                              \
        .receive = variant##_receive,                                                              \
        .decap = variant##_decap,                                                                  \
        .flow_hash = variant##_flow_hash,                                                          \
        .measure = variant##_measure,                                                              \
        .build = variant##_build,                                                                  \
        .judge = variant##_judge,                                                                  \
        .fix = variant##_fix,                                                                      \
    }
/* clang-format on */

KERNELS(generic, )

static int generic_supported(void)
{
    return 1;
}

#if ENCAP_X86

KERNELS(avx2, AVX2)
KERNELS(avx512, AVX512)

static int avx2_supported(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") != 0;
}

static int avx512_supported(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2");
}

#endif

#if ENCAP_NEON

KERNELS(neon, )

static int neon_supported(void)
{
    return 1;
}

#endif

/* Best last. */
static const implementation IMPLEMENTATIONS[] = {
    ROW(generic),
#if ENCAP_X86
    ROW(avx2),
    ROW(avx512),
#endif
#if ENCAP_NEON
    ROW(neon),
#endif
};

#define IMPLEMENTATION_COUNT (sizeof IMPLEMENTATIONS / sizeof *IMPLEMENTATIONS)

/* The choice of the process: the one variable that outlives a call. Every
 * entry reads it once, so a change meets calls that begin later. */
static const implementation *chosen = NULL;

static const implementation *current_implementation(void)
{
    const implementation *now = chosen;

    if (now == NULL) {
        now = IMPLEMENTATIONS + IMPLEMENTATION_COUNT - 1;
        while (!now->supported())
            now--; /* ends at the latest at the first one, which is plain C */
        chosen = now;
    }
    return now;
}

uint32_t encap_implementation_count(void)
{
    return (uint32_t)IMPLEMENTATION_COUNT;
}

const char *encap_implementation_name(uint32_t index)
{
    return index < IMPLEMENTATION_COUNT ? IMPLEMENTATIONS[index].name : NULL;
}

int encap_implementation_supported(uint32_t index)
{
    return index < IMPLEMENTATION_COUNT && IMPLEMENTATIONS[index].supported();
}

uint32_t encap_implementation_current(void)
{
    return (uint32_t)(current_implementation() - IMPLEMENTATIONS);
}

int encap_implementation_select(uint32_t index)
{
    if (!encap_implementation_supported(index))
        return -1;
    chosen = IMPLEMENTATIONS + index;
    return 0;
}

/* --- entries -------------------------------------------------------------- */

uint16_t encap_checksum(const uint8_t *data, uint64_t size)
{
    return close_checksum(current_implementation()->sum(data, size));
}

uint16_t encap_copy_checksum(const uint8_t *data, uint64_t size, uint8_t *out)
{
    return close_checksum(current_implementation()->copy_sum(out, data, size));
}

int encap_checksums(const encap_batch *batch, uint64_t begin, uint64_t end, uint16_t *sums)
{
    if (!rows_exist(batch, begin, end))
        return -1;
    current_implementation()->checksums(batch, begin, end, sums);
    return 0;
}

int encap_compact(const encap_batch *batch, uint64_t begin, uint64_t end, const int64_t *targets,
                  uint8_t *out, uint64_t out_size)
{
    if (!rows_exist(batch, begin, end))
        return -1;
    return current_implementation()->compact(batch, begin, end, targets, out, out_size);
}

int encap_rewrite(const encap_batch *from, const encap_batch *batch, const encap_rules *rules,
                  uint64_t begin, uint64_t end, const encap_rewriting *job, encap_paths *paths,
                  encap_layers *layers, uint16_t *path_ids, encap_program *programs,
                  encap_place *places, uint8_t *octets, uint64_t *outcomes, uint64_t *lefts)
{
    if (!rows_exist(batch, begin, end) || (from && !rows_exist(from, begin, end)))
        return -1;
    return current_implementation()->rewrite(from, batch, rules, begin, end, job, paths, layers,
                                             path_ids, programs, places, octets, outcomes, lefts);
}

int encap_splice(const encap_batch *batch, uint64_t begin, uint64_t end, const uint32_t *at,
                 const uint32_t *removed, const uint32_t *inserted, const uint8_t *octets,
                 uint64_t stride, uint32_t width, const int64_t *targets, uint8_t *out,
                 uint64_t out_size)
{
    if (!rows_exist(batch, begin, end))
        return -1;
    return current_implementation()->splice(batch, begin, end, at, removed, inserted, octets,
                                            stride, width, targets, out, out_size);
}

void encap_parse(const encap_batch *batch, const encap_rules *rules, uint64_t begin, uint64_t end,
                 encap_paths *paths, encap_layers *layers, uint16_t *path_ids)
{
    if (rows_exist(batch, begin, end))
        current_implementation()->rows(batch, rules, begin, end, end, paths, layers + begin,
                                       path_ids + begin);
}

void encap_columns(const encap_batch *batch, const encap_rules *rules, uint64_t begin, uint64_t end,
                   encap_paths *paths, int8_t *slots, const encap_column *columns,
                   uint32_t column_count, uint8_t *const *outs)
{
    if (rows_exist(batch, begin, end))
        current_implementation()->columns(batch, rules, begin, end, paths, slots, columns,
                                          column_count, outs);
}

void encap_receive(const encap_batch *batch, const encap_rules *rules, uint64_t begin, uint64_t end,
                   encap_paths *paths, int8_t *slots, const encap_column *columns,
                   uint32_t column_count, uint8_t *const *outs, const encap_receiver *host,
                   const encap_received *out)
{
    if (rows_exist(batch, begin, end))
        current_implementation()->receive(batch, rules, begin, end, paths, slots, columns,
                                          column_count, outs, host, out);
}

uint64_t encap_decap(const encap_batch *batch, const encap_rules *rules, uint64_t begin,
                     uint64_t end, const encap_wanted *wanted, uint64_t at,
                     const encap_unwrapped *out)
{
    if (!rows_exist(batch, begin, end))
        return 0;
    return current_implementation()->decap(batch, rules, begin, end, wanted, at, out);
}

void encap_flow_hash(const encap_batch *batch, const encap_rules *rules, uint64_t begin,
                     uint64_t end, const encap_flow_wanted *wanted, const encap_column *column,
                     encap_paths *paths, int8_t *slots, uint32_t *out)
{
    if (rows_exist(batch, begin, end))
        current_implementation()->flow_hash(batch, rules, begin, end, wanted, column, paths, slots,
                                            out);
}

uint64_t encap_build_measure(const encap_batch *batch, const encap_rules *rules,
                             const encap_builder *builder, uint64_t begin, uint64_t end,
                             const encap_built *out, uint64_t *troubled)
{
    *troubled = 0;
    if (!rows_exist(batch, begin, end) || !plans_hold(builder))
        return 0;
    return current_implementation()->measure(batch, rules, builder, begin, end, out, troubled);
}

int encap_build_fill(const encap_batch *batch, const encap_rules *rules,
                     const encap_builder *builder, uint64_t begin, uint64_t end, uint64_t at,
                     const encap_built *out)
{
    if (!rows_exist(batch, begin, end) || !plans_hold(builder))
        return -1;
    return current_implementation()->build(batch, rules, builder, begin, end, at, out);
}

void encap_judge(const encap_batch *batch, const encap_rules *rules, const encap_cover *covers,
                 uint64_t begin, uint64_t end, encap_paths *paths, encap_layers *layers,
                 uint16_t *path_ids, uint8_t *verdicts)
{
    frame_span frames[ROUND];
    if (rows_exist(batch, begin, end))
        current_implementation()->judge(batch, rules, covers, begin, end, end, paths,
                                        layers + begin, path_ids + begin, frames,
                                        verdicts + begin * SLOTS);
}

int encap_fix(const encap_batch *from, const encap_batch *batch, const encap_rules *rules,
              const encap_cover *covers, uint64_t begin, uint64_t end, uint32_t wanted,
              uint8_t *octets, encap_fixes *fixes)
{
    if (!rows_exist(batch, begin, end) || (from && !rows_exist(from, begin, end)))
        return -1;
    return current_implementation()->fix(from, batch, rules, covers, begin, end, wanted, octets,
                                         fixes);
}
