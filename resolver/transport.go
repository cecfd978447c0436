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

// transport sends query to server and hands every packet that comes back to
// accept until that returns true or ctx ends. network is "udp" or "tcp". It is
// a type so that the fuzz targets can stand in for the network.
type transport func(ctx context.Context, network, server string, query []byte, accept func(packet []byte) bool) error

// maxDatagram is more than any server may send after ednsSize was announced; a
// longer datagram is cut, fails to parse and counts as malformed.
const maxDatagram = 4096

// exchange is the transport over the network. Every query has a socket of its
// own, hence a random source port (RFC 5452, section 9.2).
func exchange(ctx context.Context, network, server string, query []byte, accept func([]byte) bool) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, server)
	if err != nil {
		return plainError(err)
	}
	defer func() { _ = conn.Close() }() // nothing is left to be lost
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	// A deadline in the past ends what a cancelled context must not wait for.
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

// plainError drops the addresses that the net package puts into its errors: the
// caller names the server, and a source port, new every time, would make equal
// failures look different.
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

// exchangeStream uses the two length bytes of RFC 1035, section 4.2.2. The
// length bounds what is read; the deadline bounds how long a peer may trickle.
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
