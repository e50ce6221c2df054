package stmtcache_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fake is a server that speaks as much of the MySQL protocol as the tests need, and says what it is told to say: no
// real server can be brought to every error. It keeps no tables and runs nothing.
type fake struct {
	// answer is the number of the error that answers a command, or 0. Commands are query texts, and "PREPARE " and
	// "EXECUTE " with the text of the statement.
	answer func(command string) uint16

	mu   sync.Mutex
	sent []string
}

// start listens on the loopback until the test ends.
func (f *fake) start(t *testing.T) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var group sync.WaitGroup
	group.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				f.serve(client)
				_ = client.Close() // its other side may have closed it before
			})
		}
	})
	// The pool is closed before: cleanups run in the opposite order.
	t.Cleanup(func() {
		assert.NoError(t, listener.Close())
		group.Wait()
	})
	return fmt.Sprintf("mysql://root@%s/app", listener.Addr())
}

func (f *fake) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() { f.sent = nil }()
	return f.sent
}

// Parts of the protocol (MySQL internals, Client/Server Protocol).
const (
	protocol41, secureConnection, pluginAuth, transactions = 1 << 9, 1 << 15, 1 << 19, 1 << 13

	capabilities = protocol41 | secureConnection | pluginAuth | transactions | 1
)

var okPacket = []byte{0, 0, 0, 2, 0, 0, 0}

func greeting() []byte {
	p := append([]byte{10}, "8.0.0-fake\x00"...)
	p = append(p, 1, 0, 0, 0)
	p = append(p, "12345678\x00"...)
	p = binary.LittleEndian.AppendUint16(p, capabilities&0xffff)
	p = append(p, 45, 2, 0)
	p = binary.LittleEndian.AppendUint16(p, capabilities>>16)
	p = append(p, 21)
	p = append(p, make([]byte, 10)...)
	return append(p, "123456789012\x00mysql_native_password\x00"...)
}

func (f *fake) serve(client net.Conn) {
	from := bufio.NewReader(client)
	write := func(sequence byte, body []byte) bool {
		_, err := client.Write(append([]byte{byte(len(body)), byte(len(body) >> 8), 0, sequence}, body...))
		return err == nil
	}
	if !write(0, greeting()) || readPacket(from) == nil || !write(2, okPacket) {
		return
	}
	statements := []string{""}
	for {
		packet := readPacket(from)
		if len(packet) == 0 {
			return
		}
		command, body := packet[0], string(packet[1:])
		switch command {
		case 0x01: // quit
			return
		case 0x16:
			body = "PREPARE " + body
		case 0x17:
			body = "EXECUTE " + statements[binary.LittleEndian.Uint32([]byte(body))]
		case 0x19: // close, which nothing answers
			continue
		}
		f.mu.Lock()
		f.sent = append(f.sent, body)
		number := f.answer(body)
		f.mu.Unlock()
		switch {
		case number != 0:
			failure := binary.LittleEndian.AppendUint16([]byte{0xff}, number)
			write(1, append(failure, "#HY000as told"...))
		case command == 0x16:
			statements = append(statements, body[len("PREPARE "):])
			ok := binary.LittleEndian.AppendUint32([]byte{0}, uint32(len(statements)-1))
			write(1, append(ok, 0, 0, 1, 0, 0, 0, 0)) // no columns, one parameter
			column := []byte("\x03def\x00\x00\x00\x01?\x00\x0c\x3f\x00\x00\x00\x00\x00\xfd\x00\x00\x00\x00\x00")
			write(2, column)
			write(3, []byte{0xfe, 0, 0, 2, 0})
		default:
			write(1, okPacket)
		}
	}
}

// readPacket is the body of a packet, or nil where there is none.
func readPacket(from *bufio.Reader) []byte {
	header := make([]byte, 4)
	if _, err := io.ReadFull(from, header); err != nil {
		return nil
	}
	body := make([]byte, int(header[0])|int(header[1])<<8|int(header[2])<<16)
	if _, err := io.ReadFull(from, body); err != nil {
		return nil
	}
	return body
}
