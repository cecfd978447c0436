package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// transport sends query to server and passes every received packet to accept
// until accept returns true or ctx ends. network is "udp" or "tcp". It is a type
// so that fuzz targets can replace the network.
type transport func(ctx context.Context, network, server string, query []byte, accept func(packet []byte) bool) error

// maxDatagram is larger than any response that a server may send after ednsSize
// was announced. A longer datagram is cut, fails to parse and counts as
// malformed.
const maxDatagram = 4096

// exchange is the transport over the network. Every query has its own socket, and
// hence a random source port (RFC 5452, section 9.2).
func exchange(ctx context.Context, network, server string, query []byte, accept func([]byte) bool) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, server)
	if err != nil {
		return plainError(err)
	}
	defer func() { _ = conn.Close() }() // an error here would lose nothing
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	// Setting a deadline in the past ends pending reads and writes when ctx is
	// canceled.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	if network == "tcp" {
		err = exchangeStream(conn, query, accept)
	} else {
		err = exchangeDatagrams(conn, query, accept)
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return plainError(err)
}

// plainError removes the addresses that package net puts into its errors. The
// caller names the server, and the source port, which is new each time, would
// make equal failures look different.
func plainError(err error) error {
	if oe, ok := errors.AsType[*net.OpError](err); ok {
		return oe.Err
	}
	return err
}

func exchangeDatagrams(conn net.Conn, query []byte, accept func([]byte) bool) error {
	if _, err := conn.Write(query); err != nil {
		return err
	}
	packet := make([]byte, maxDatagram)
	for {
		n, err := conn.Read(packet)
		if err != nil {
			return err
		}
		if accept(packet[:n]) {
			return nil
		}
	}
}

// exchangeStream uses the two-byte length of RFC 1035, section 4.2.2. The length
// limits how much is read; the deadline limits how slowly the server may send.
func exchangeStream(conn net.Conn, query []byte, accept func([]byte) bool) error {
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(query)), uint16(len(query)))
	if _, err := conn.Write(append(framed, query...)); err != nil {
		return err
	}
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return fmt.Errorf("reading the length of the answer: %w", err)
		}
		packet := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, packet); err != nil {
			return fmt.Errorf("reading %d bytes of answer: %w", len(packet), err)
		}
		if accept(packet) {
			return nil
		}
	}
}
