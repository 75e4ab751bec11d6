package front_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// receiver is a real server that insists on a PROXY header.
type receiver struct {
	name string
	// start has the server listen on http, where it answers each request with the addresses in the header, and on tcp,
	// where it passes what follows the header on to behind.
	start func(t *testing.T, http, tcp *net.TCPListener, behind netip.AddrPort)
}

var receivers = []receiver{{"nginx", startNginx}, {"haproxy", startHAProxy}}

// startNginx has nginx take the listeners over as it does from its own predecessor in an upgrade: it finds their
// descriptors in the variable NGINX and knows by their addresses which are whose.
func startNginx(t *testing.T, http, tcp *net.TCPListener, behind netip.AddrPort) {
	dir := t.TempDir()
	config := fmt.Sprintf(`
daemon off;
pid pid;
error_log stderr;
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
events {}
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	server {
		listen %s proxy_protocol;
		return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port";
	}
}
stream {
	server {
		listen %s proxy_protocol;
		proxy_half_close on;
		proxy_buffer_size 256k;
		proxy_pass %s;
	}
}
`, http.Addr(), tcp.Addr(), behind)
	cmd := exec.Command(program(t, "nginx"), "-p", dir, "-e", "stderr", "-c", write(t, dir, "nginx.conf", config))
	cmd.Env = append(os.Environ(), "NGINX=3;4;")
	run(t, cmd, http, tcp)
}

func startHAProxy(t *testing.T, http, tcp *net.TCPListener, behind netip.AddrPort) {
	dir := t.TempDir()
	config := fmt.Sprintf(`
global
	maxconn 100
	tune.bufsize 262144
defaults
	timeout connect 10s
	timeout client 60s
	timeout server 60s
frontend http
	mode http
	bind fd@3 accept-proxy
	http-request return status 200 content-type text/plain lf-string "%%[src] %%[src_port] %%[dst] %%[dst_port]"
listen tcp
	mode tcp
	bind fd@4 accept-proxy
	server behind %s
`, behind)
	run(t, exec.Command(program(t, "haproxy"), "-db", "-f", write(t, dir, "haproxy.cfg", config)), http, tcp)
}

// run starts a server with listeners that are its own from then on, and ends it with the test. Its clients need not
// wait until it is ready: they wait in the listeners' queues.
func run(t *testing.T, cmd *exec.Cmd, listeners ...*net.TCPListener) {
	t.Helper()
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	for _, l := range listeners {
		file, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		cmd.ExtraFiles = append(cmd.ExtraFiles, file)
		_ = l.Close()
	}
	err := cmd.Start()
	for _, file := range cmd.ExtraFiles {
		_ = file.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // and not SIGKILL, which would leave nginx's worker behind
		if _ = cmd.Wait(); t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(cmd.Path), &output)
		}
	})
}

func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name) // which is on nobody's path but root's
	}
	if err != nil {
		t.Fatalf("%v: on Debian `make unit` installs it", err)
	}
	return path
}

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// listen is tcptest.Listen for those who need only the one.
func listen(t *testing.T) *net.TCPListener {
	l, _ := tcptest.Listen(t)
	return l
}
