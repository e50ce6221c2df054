package mysqltest

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// Action is what a Proxy does with a command.
type Action int

// The actions.
const (
	// Forward lets the command and its response pass.
	Forward Action = iota
	// CutBefore ends the connection; the server does not see the command.
	CutBefore
	// CutAfter ends the connection once the server has begun to respond; the client does not see the response. After
	// the response to a COMMIT, the transaction is in the database and the client cannot know it.
	CutAfter
	// Refuse answers with the error of Proxy.Refusal; the server does not see the command.
	Refuse
	// SilenceBefore keeps the connection open and lets nothing pass any more; the server does not see the command.
	SilenceBefore
	// SilenceAfter lets the command pass, and nothing that the server sends from then on.
	SilenceAfter
)

// Proxy stands between a client and a MySQL or MariaDB server and ends connections at chosen commands. It knows where a
// command begins and ends, and neither TLS nor compression.
//
//	proxy := mysqltest.Proxy{Hook: func(n int, query string) mysqltest.Action {
//		if query == "COMMIT" {
//			return mysqltest.CutAfter
//		}
//		return mysqltest.Forward
//	}}
//	url := proxy.Start(t, mysqltest.MySQL(t))
type Proxy struct {
	// Hook decides on a command: on query texts, and on the preparation, execution and closing of prepared statements,
	// whose query begins with "PREPARE ", "EXECUTE ", "CLOSE " and so on. A ping, for example, is none. The first
	// command over all connections has n = 1. Hook is called by many goroutines; nil forwards everything.
	Hook func(n int, query string) Action
	// OnCut, where set, is called just before a connection is cut: with CutBefore the server has not seen the command,
	// with CutAfter it has carried it out, and the client still waits. Like Hook it runs on the proxy's goroutines, so
	// what it shares with the test needs a channel or a lock.
	OnCut func()
	// Refusal is the number of the error that Refuse answers with; 0 stands for 1047, a command that is not known.
	Refusal uint16

	upstream string
	commands atomic.Int64

	mu       sync.Mutex
	closed   bool
	sockets  map[net.Conn]struct{}
	sessions sync.WaitGroup
}

// Start listens until the test ends, and returns upstreamURL with the proxy's address in it.
func (p *Proxy) Start(t testing.TB, upstreamURL string) string {
	t.Helper()
	u, err := url.Parse(upstreamURL)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.upstream = u.Host
	p.sockets = map[net.Conn]struct{}{}
	p.sessions.Go(func() { p.accept(listener) })
	t.Cleanup(func() {
		listener.Close()
		p.closeAll()
		p.sessions.Wait()
	})
	u.Host = listener.Addr().String()
	return u.String()
}

// Commands is how many commands were seen so far.
func (p *Proxy) Commands() int {
	return int(p.commands.Load())
}

func (p *Proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.upstream)
		if err != nil {
			client.Close()
			continue
		}
		if !p.track(client, server) {
			return
		}
		s := &session{
			proxy: p, client: client, server: server,
			responsesEnded: make(chan struct{}), statements: map[uint32]string{},
		}
		p.sessions.Go(s.passCommands)
		p.sessions.Go(s.passResponses)
	}
}

// track remembers the sockets for closeAll, or closes them where that has been already.
func (p *Proxy) track(sockets ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, socket := range sockets {
		if p.closed {
			socket.Close()
		} else {
			p.sockets[socket] = struct{}{}
		}
	}
	return !p.closed
}

func (p *Proxy) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for socket := range p.sockets {
		socket.Close()
	}
}

// session is one connection of a client, and the one to the server that was made for it.
type session struct {
	proxy          *Proxy
	client, server net.Conn
	responsesEnded chan struct{}
	silent         atomic.Bool

	mu         sync.Mutex
	preparing  string // the text whose statement number the next response tells
	cutting    bool   // the next response is not delivered
	statements map[uint32]string
}

func (s *session) close() {
	s.client.Close()
	s.server.Close()
	s.proxy.mu.Lock()
	defer s.proxy.mu.Unlock()
	delete(s.proxy.sockets, s.client)
	delete(s.proxy.sockets, s.server)
}

func (s *session) cut() {
	if s.proxy.OnCut != nil {
		s.proxy.OnCut()
	}
	s.close()
}

func (s *session) passCommands() {
	defer s.close()
	from := bufio.NewReader(s.client)
	for {
		packet, err := readPacket(from)
		if err != nil {
			return
		}
		action, responds := s.decide(packet)
		if action == CutBefore {
			s.cut()
			return
		}
		if action == SilenceBefore {
			_, _ = io.Copy(io.Discard, from) // until the client gives up
			return
		}
		if action == Refuse {
			if err := s.refuse(); err != nil {
				return
			}
			continue
		}
		if _, err := s.server.Write(packet); err != nil {
			return
		}
		if action == CutAfter {
			if !responds {
				s.cut()
				return
			}
			// Without this a client that gives up would end the connection before the server has
			// carried out the command.
			<-s.responsesEnded
			return
		}
	}
}

// refuse sends the packet of an error. The client waits for it, so that passResponses writes nothing meanwhile.
func (s *session) refuse() error {
	s.mu.Lock()
	s.preparing = ""
	s.mu.Unlock()
	body := binary.LittleEndian.AppendUint16([]byte{0xff}, cmp.Or(s.proxy.Refusal, 1047))
	body = append(body, "#HY000refused by the proxy"...)
	_, err := s.client.Write(append([]byte{byte(len(body)), 0, 0, 1}, body...))
	return err
}

func (s *session) passResponses() {
	defer close(s.responsesEnded)
	defer s.close()
	from := bufio.NewReader(s.server)
	for {
		packet, err := readPacket(from)
		if err != nil {
			return
		}
		if s.isCutting() {
			s.cut()
			return
		}
		if s.silent.Load() {
			continue
		}
		s.learn(packet)
		if _, err := s.client.Write(packet); err != nil {
			return
		}
	}
}

// The first byte of a command, by the names of the protocol's documentation.
const (
	comQuery            = 0x03
	comStmtPrepare      = 0x16
	comStmtExecute      = 0x17
	comStmtSendLongData = 0x18
	comStmtClose        = 0x19
	comStmtReset        = 0x1a
	comStmtFetch        = 0x1c
)

const headerSize = 4 // three bytes of length, one of the packet's number within the command

// decide asks the hook about a packet of the client, and reports whether the server will respond to it.
func (s *session) decide(packet []byte) (action Action, responds bool) {
	// Only a command begins at number 0; what belongs to a login or continues a long command does not.
	if packet[headerSize-1] != 0 || len(packet) == headerSize {
		return Forward, true
	}
	command, body := packet[headerSize], packet[headerSize+1:]
	query, ok := s.describe(command, body)
	if !ok {
		return Forward, true
	}
	n := s.proxy.commands.Add(1)
	if s.proxy.Hook != nil {
		action = s.proxy.Hook(int(n), query)
	}
	responds = command != comStmtSendLongData && command != comStmtClose
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cutting = action == CutAfter && responds
	if action == SilenceAfter {
		s.silent.Store(true)
	}
	return action, responds
}

func (s *session) describe(command byte, body []byte) (query string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch command {
	case comQuery:
		return string(body), true
	case comStmtPrepare:
		s.preparing = string(body)
		return "PREPARE " + s.preparing, true
	}
	verb, ok := map[byte]string{
		comStmtExecute: "EXECUTE ", comStmtSendLongData: "SEND ", comStmtClose: "CLOSE ",
		comStmtReset: "RESET ", comStmtFetch: "FETCH ",
	}[command]
	if !ok || len(body) < 4 {
		return "", false
	}
	return verb + s.statements[binary.LittleEndian.Uint32(body)], true
}

func (s *session) isCutting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cutting
}

// learn notes the number that the server gave to the statement being prepared.
func (s *session) learn(packet []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.preparing == "" {
		return
	}
	body := packet[headerSize:]
	if len(body) >= 5 && body[0] == 0 {
		s.statements[binary.LittleEndian.Uint32(body[1:])] = s.preparing
	}
	s.preparing = ""
}

// readPacket returns a packet with its header.
func readPacket(from *bufio.Reader) ([]byte, error) {
	header, err := from.Peek(headerSize)
	if err != nil {
		return nil, err
	}
	size := int(header[0]) | int(header[1])<<8 | int(header[2])<<16
	packet := make([]byte, headerSize+size)
	_, err = io.ReadFull(from, packet)
	return packet, err
}
