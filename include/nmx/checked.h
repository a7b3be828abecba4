/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * nmx/checked.h: the end of <nmx/ring.h>, which includes it; nothing unless NMX_CHECKED is defined.
 *
 * In checked programs each call that may trap first notes where it is made: a trap in an inline, or in the library,
 * would otherwise name the header.  (NMX_LIBRARY: the library itself, which defines these names.)
 */
#ifndef NMX_CHECKED_H
#define NMX_CHECKED_H

#include <nmx/ring.h>

#if defined(NMX_CHECKED) && !defined(NMX_LIBRARY)
#define NMX__HERE() nmx__at(__FILE__, __LINE__)
#define nmx_rx_sync(...) (NMX__HERE(), nmx_rx_sync(__VA_ARGS__))
#define nmx_rx_wait(...) (NMX__HERE(), nmx_rx_wait(__VA_ARGS__))
#define nmx_rx_peek(...) (NMX__HERE(), nmx_rx_peek(__VA_ARGS__))
#define nmx_rx_next(...) (NMX__HERE(), nmx_rx_next(__VA_ARGS__))
#define nmx_rx_recv(...) (NMX__HERE(), nmx_rx_recv(__VA_ARGS__))
#define nmx_rx_recv_batch(...) (NMX__HERE(), nmx_rx_recv_batch(__VA_ARGS__))
#define nmx_rx_recv_copy(...) (NMX__HERE(), nmx_rx_recv_copy(__VA_ARGS__))
#define nmx_frame_take(...) (NMX__HERE(), nmx_frame_take(__VA_ARGS__))
#define nmx_tx_sync(...) (NMX__HERE(), nmx_tx_sync(__VA_ARGS__))
#define nmx_tx_wait(...) (NMX__HERE(), nmx_tx_wait(__VA_ARGS__))
#define nmx_tx_drain(...) (NMX__HERE(), nmx_tx_drain(__VA_ARGS__))
#define nmx_tx_reserve(...) (NMX__HERE(), nmx_tx_reserve(__VA_ARGS__))
#define nmx_batch_packet(...) (NMX__HERE(), nmx_batch_packet(__VA_ARGS__))
#define nmx_batch_fragment(...) (NMX__HERE(), nmx_batch_fragment(__VA_ARGS__))
#define nmx_batch_trim(...) (NMX__HERE(), nmx_batch_trim(__VA_ARGS__))
#define nmx_batch_commit(...) (NMX__HERE(), nmx_batch_commit(__VA_ARGS__))
#define nmx_tx_send(...) (NMX__HERE(), nmx_tx_send(__VA_ARGS__))
#define nmx_tx_send_long(...) (NMX__HERE(), nmx_tx_send_long(__VA_ARGS__))
#define nmx_tx_put(...) (NMX__HERE(), nmx_tx_put(__VA_ARGS__))
#define nmx_tx_forward(...) (NMX__HERE(), nmx_tx_forward(__VA_ARGS__))
#define nmx_forward(...) (NMX__HERE(), nmx_forward(__VA_ARGS__))
#define nmx__walk_start(...) (NMX__HERE(), nmx__walk_start(__VA_ARGS__))
#endif
#endif
