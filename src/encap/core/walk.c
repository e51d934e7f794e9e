/* The walk of one packet: which header stands where. */

/* What frames of this link type begin with: a kind, BY_VERSION or ENCAP_NONE. */
INLINE uint32_t first_of(const encap_rules *rules, uint32_t linktype)
{
    return linktype < ENCAP_LINKTYPES ? rules->linktype[linktype] : (uint32_t)ENCAP_NONE;
}

/* The one loop. What usually follows a header is reached by a plain branch: going through the
 * switch costs an indirect jump, which takes as long as a header. */
INLINE void walk_packet(walk *w, uint32_t kind)
{
    if (kind == ENCAP_NONE)
        stop(w, ENCAP_UNSUPPORTED, 0);
    if (kind == BY_VERSION)
        kind = by_version(w) == ENCAP_IPV6 ? ENCAP_IPV6 : ENCAP_IPV4;
    for (;;) {
        switch (kind) {
        case ENCAP_ETH:
        eth:
            kind = step_eth(w);
            if (LIKELY(kind == ENCAP_IPV4))
                goto ipv4;
            if (kind == ENCAP_IPV6)
                goto ipv6;
            break;
        case ENCAP_VLAN:
            kind = step_vlan(w);
            if (LIKELY(kind == ENCAP_IPV4))
                goto ipv4;
            break;
        case ENCAP_IPV4:
        ipv4:
            kind = step_ipv4(w);
            if (kind == ENCAP_TCP)
                goto tcp;
            if (kind == ENCAP_UDP)
                goto udp;
            break;
        case ENCAP_IPV6:
        ipv6:
            kind = step_ipv6(w);
            if (kind == ENCAP_TCP)
                goto tcp;
            if (kind == ENCAP_UDP)
                goto udp;
            break;
        case ENCAP_UDP:
        udp:
            kind = step_udp(w);
            if (kind == ENCAP_NONE)
                return;
            if (kind == ENCAP_VXLAN)
                goto vxlan;
            break;
        case ENCAP_VXLAN:
        vxlan:
            kind = step_vxlan(w);
            if (LIKELY(kind == ENCAP_ETH))
                goto eth;
            break;
        case ENCAP_GENEVE:
            kind = step_geneve(w);
            if (LIKELY(kind == ENCAP_ETH))
                goto eth;
            break;
        case ENCAP_GRE:
            kind = step_gre(w);
            if (LIKELY(kind == ENCAP_IPV4))
                goto ipv4;
            if (kind == ENCAP_ETH)
                goto eth;
            break;
        case ENCAP_TCP:
        tcp:
            step_tcp(w);
            return;
        case ENCAP_HOPOPT:
        case ENCAP_ROUTING:
        case ENCAP_DSTOPTS:
            kind = step_extension(w, kind);
            break;
        case ENCAP_SLL:
            kind = step_cooked(w, ENCAP_SLL, 16, 14);
            break;
        case ENCAP_SLL2:
            kind = step_cooked(w, ENCAP_SLL2, 20, 0);
            break;
        case ENCAP_NULL:
            kind = step_null(w);
            break;
        case ENCAP_LLC:
            kind = step_llc(w);
            break;
        case ENCAP_ARP:
            kind = step_arp(w);
            break;
        case ENCAP_MPLS:
            kind = step_mpls(w);
            break;
        case ENCAP_FRAGMENT:
            kind = step_fragment(w);
            break;
        case ENCAP_AH:
            kind = step_ah(w);
            break;
        case ENCAP_ESP:
            kind = step_last(w, ENCAP_ESP, 8);
            break;
        case ENCAP_ICMP:
            kind = step_last(w, ENCAP_ICMP, 8);
            break;
        case ENCAP_ICMPV6:
            kind = step_last(w, ENCAP_ICMPV6, 8);
            break;
        case ENCAP_IGMP:
            kind = step_last(w, ENCAP_IGMP, 8);
            break;
        case ENCAP_SCTP:
            kind = step_last(w, ENCAP_SCTP, 12);
            break;
        case ENCAP_GUE:
            kind = step_gue(w);
            break;
        case ENCAP_ERSPAN:
            kind = step_erspan(w);
            break;
        case ENCAP_GPE:
            kind = step_gpe(w);
            break;
        default:
            return;
        }
    }
}
