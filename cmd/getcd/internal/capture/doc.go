// Package capture lists the HTTP/2 connections in a packet capture, which tcpdump and
// Wireshark write: in pcap or pcapng, also packed by gzip. It reads packets, puts TCP's
// bytes together again, and has package wire say what they mean.
//
// A connection is HTTP/2 when one side begins with the preface (RFC 9113, section 3.4).
// That side is the client. What can't be decoded is said to be there: a connection whose
// beginning is not in the capture, since nobody knows where a frame begins and what HPACK
// refers to; TLS; other protocols; bytes that the capture has missed.
package capture
