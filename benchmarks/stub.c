/* A service that costs next to nothing, on loopback: `stub SEED`, which prints its port and lives as long
 * as its standard input. One thread, one epoll, HTTP/1.1 with Content-Length. It speaks as much of each
 * protocol as the clients under measurement need, and looks into a body only for what the answer must echo.
 *
 * How a write ends is told by the source that it goes to:
 *     persisted                        single writes are done at once
 *     instant lognormal bimodal never  they are accepted, and the task ends after a time of that distribution
 *     takes-N                          likewise, after N milliseconds
 * Bulks are always accepted; in `persisted` they end at once. A time depends on the seed and the record's
 * key alone, so every client meets the same ones. A task's id is `s_{number}-{due}`: the microsecond on
 * CLOCK_MONOTONIC when it ends, so that a benchmark can tell how late it was noticed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STAMP "2026-01-01T00:00:00.000Z"
#define CONNECTIONS 65536
#define SINGLES (1 << 18) /* as many tasks are remembered, so that their receipts can be told */
#define BULKS 1024

typedef struct { const char *at; size_t size; } span;
typedef struct { char *at; size_t size, room; } buffer;
typedef struct { buffer in, out; size_t sent; } connection;
typedef struct { uint64_t number; const char *target; buffer operations; } task;
typedef struct { span method, target, body; } request;

static connection *connections[CONNECTIONS];
static task singles[SINGLES], bulks[BULKS];
static uint64_t seed, numbered;
static int poller;

/* Bytes */

static void reserve(buffer *b, size_t more) {
    if (b->size + more <= b->room) return;
    while (b->size + more > b->room) b->room = b->room ? b->room * 2 : 1024;
    if (!(b->at = realloc(b->at, b->room))) abort();
}

static void put(buffer *b, const char *at, size_t size) {
    reserve(b, size);
    memcpy(b->at + b->size, at, size);
    b->size += size;
}

static void say(buffer *b, const char *text) { put(b, text, strlen(text)); }
static void echo(buffer *b, span s) { put(b, s.at, s.size); }
static span text(const char *t) { return (span){t, strlen(t)}; }
static int is(span s, const char *t) { return s.size == strlen(t) && !memcmp(s.at, t, s.size); }
static int begins(span s, const char *t) { return s.size >= strlen(t) && !memcmp(s.at, t, strlen(t)); }
static int holds(span s, const char *t) { return memmem(s.at, s.size, t, strlen(t)) != NULL; }

static void number(buffer *b, uint64_t n) {
    char digits[24];
    put(b, digits, (size_t)sprintf(digits, "%llu", (unsigned long long)n));
}

/* The part of a path with this place, counted from 0, and without its query. */
static span part(span path, int place) {
    const char *end = memchr(path.at, '?', path.size), *at = path.at + 1, *next;
    if (!end) end = path.at + path.size;
    for (; at < end; at = next + 1) {
        if (!(next = memchr(at, '/', (size_t)(end - at)))) next = end;
        if (!place--) return (span){at, (size_t)(next - at)};
    }
    return (span){end, 0};
}

/* JSON, as far as it is needed to find a member: it is trusted to be well formed */

static const char *skip_space(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')) at++;
    return at;
}

static const char *skip_string(const char *at, const char *end) {
    for (at++; at < end && *at != '"'; at++) if (*at == '\\') at++;
    return at < end ? at + 1 : end;
}

static const char *skip_value(const char *at, const char *end) {
    int depth = 0;
    do {
        if (at >= end) return end;
        if (*at == '"') { at = skip_string(at, end); continue; }
        if (*at == '{' || *at == '[') depth++;
        else if (*at == '}' || *at == ']') depth--;
        else if (!depth) { while (at < end && !strchr(",}] \n\r\t", *at)) at++; return at; }
        at++;
    } while (depth > 0);
    return at;
}

/* Steps to the next member of an object, or element of an array (without a name); 0 at its end. */
static int next_value(const char **at, const char *end, span *name, span *value) {
    const char *p = skip_space(*at, end);
    if (p < end && (*p == ',' || *p == '{' || *p == '[')) p = skip_space(p + 1, end);
    if (p >= end || *p == '}' || *p == ']') return 0;
    if (name) {
        *name = (span){p + 1, 0};
        p = skip_string(p, end);
        name->size = (size_t)(p - 1 - name->at);
        p = skip_space(p, end);
        if (p < end && *p == ':') p = skip_space(p + 1, end);
    }
    const char *start = p;
    *at = p = skip_value(p, end);
    *value = (span){start, (size_t)(p - start)};
    return 1;
}

static span member(span object, const char *wanted) {
    const char *at = object.at, *end = object.at + object.size;
    span name, value;
    while (at && next_value(&at, end, &name, &value)) if (is(name, wanted)) return value;
    return (span){NULL, 0};
}

static span string(span object, const char *name) { /* without its quotes, as it is written */
    span value = member(object, name);
    return value.size >= 2 ? (span){value.at + 1, value.size - 2} : (span){"", 0};
}

/* Time */

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t mixed(uint64_t x) { /* splitmix64 */
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static double share(uint64_t x) { return ((double)(x >> 11) + 0.5) / 9007199254740992.0; }

/* Seconds, from the seed and the key alone. */
static double duration(span source, span key) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < key.size; i++) h = (h ^ (unsigned char)key.at[i]) * 0x100000001b3u;
    h = mixed(h ^ mixed(seed));
    double u = share(h), v = share(mixed(h));
    if (is(source, "lognormal")) return 0.4 * exp(0.8 * sqrt(-2 * log(u)) * cos(2 * M_PI * v));
    if (is(source, "bimodal")) return (u < 0.8 ? 0.15 : 3.0) * (0.9 + 0.2 * v);
    if (source.size > 6 && !memcmp(source.at, "takes-", 6)) return atof(source.at + 6) / 1000;
    return is(source, "never") ? 1e6 : 0;
}

/* Answers */

static void head(buffer *out, const char *status, size_t size, const char *more) {
    say(out, "HTTP/1.1 "); say(out, status);
    say(out, "\r\nContent-Type: application/json\r\n"); say(out, more);
    say(out, "Content-Length: "); number(out, size); say(out, "\r\n\r\n");
}

static void answer(buffer *out, const char *status, const buffer *body, const char *more) {
    head(out, status, body->size, more);
    put(out, body->at, body->size);
}

static buffer *scratch(void) {
    static buffer b;
    b.size = 0;
    return &b;
}

static void answer_text(buffer *out, const char *status, const char *body) {
    head(out, status, strlen(body), "");
    say(out, body);
}

static void task_id(buffer *b, const char *prefix, uint64_t n, uint64_t due) {
    say(b, prefix); number(b, n); say(b, "-"); number(b, due);
}

static void accepted(buffer *out, const char *prefix, uint64_t n, uint64_t due) {
    buffer *b = scratch();
    say(b, "{\"taskId\":\""); task_id(b, prefix, n, due); say(b, "\",\"status\":\"ACCEPTED\"");
    if (*prefix == 'b') { say(b, ",\"bulkId\":\""); task_id(b, prefix, n, due); say(b, "\""); }
    say(b, "}");
    answer(out, "202 Accepted", b, "");
}

static task *remembered(task *tasks, size_t room, uint64_t n, const char *target) {
    task *t = &tasks[n % room];
    t->number = n; t->target = target; t->operations.size = 0;
    return t;
}

/* One line an operation: its action, the type and the id of its record. */
static void note(buffer *b, span action, span type, span id, span to) {
    echo(b, action); say(b, "\t"); echo(b, type); say(b, "\t"); echo(b, id);
    if (to.size) { say(b, "."); echo(b, to); }
    say(b, "\n");
}

#define DATA "{\"role\":\"family-medicine\",\"since\":\"2019-04-01\",\"primary\":true,\"fte\":0.9,\"visits\":1,\"site\":\"Clinique Plateau\"}"

/* The ends are those that were sent, for a client may check them; the data is always the same. */
static void relationship(buffer *b, span type, span from, span to) {
    say(b, "{\"id\":\""); echo(b, string(from, "id")); say(b, "."); echo(b, string(to, "id"));
    say(b, "\",\"type\":\""); echo(b, type);
    say(b, "\",\"from\":"); echo(b, from); say(b, ",\"to\":"); echo(b, to);
    say(b, ",\"data\":" DATA ",\"meta\":{\"createdAt\":\"" STAMP "\",\"source\":\"ehr\"}}");
}

static void create(buffer *out, span source, span type, span body) {
    span from = member(body, "from"), to = member(body, "to"), from_id = string(from, "id");
    uint64_t n = ++numbered;
    if (!from.at || !to.at) {
        answer_text(out, "400 Bad Request", "{\"code\":400,\"type\":\"INVALID_ARGUMENT\",\"message\":\"no ends\"}");
    } else if (is(source, "persisted")) {
        buffer *b = scratch();
        say(b, "{\"taskId\":\""); task_id(b, "s_", n, 0);
        say(b, "\",\"status\":\"PERSISTED\",\"relationship\":");
        relationship(b, type, from, to);
        say(b, "}");
        answer(out, "201 Created", b, "");
    } else {
        task *t = remembered(singles, SINGLES, n, "RELATIONSHIP");
        note(&t->operations, text("CREATE"), type, from_id, string(to, "id"));
        span key = {t->operations.at, t->operations.size};
        accepted(out, "s_", n, now() + (uint64_t)(1e6 * duration(source, key)));
    }
}

static void read_back(buffer *out, span type, span id) {
    const char *dot = memchr(id.at, '.', id.size);
    size_t first = dot ? (size_t)(dot - id.at) : id.size;
    static buffer from, to;
    from.size = to.size = 0;
    say(&from, "{\"id\":\""); put(&from, id.at, first); say(&from, "\",\"type\":\"practitioner\"}");
    say(&to, "{\"id\":\"");
    if (dot) put(&to, dot + 1, id.size - first - 1);
    say(&to, "\",\"type\":\"organization\"}");
    buffer *b = scratch();
    relationship(b, type, (span){from.at, from.size}, (span){to.at, to.size});
    answer(out, "200 OK", b, "");
}

static void take_bulk(buffer *out, span source, span collection, span body) {
    task *t = remembered(bulks, BULKS, ++numbered, is(collection, "resources") ? "RESOURCE" : "RELATIONSHIP");
    span operations = member(body, "operations"), operation;
    const char *at = operations.at, *end = at + operations.size;
    while (at && next_value(&at, end, NULL, &operation)) {
        span action = string(operation, "action");
        span write = member(operation, is(action, "CREATE") ? "create" : is(action, "UPSERT") ? "upsert" : "delete");
        span from = member(write, "from");
        span id = from.at ? string(from, "id") : string(write, "id");
        note(&t->operations, action, string(write, "type"), id, from.at ? string(member(write, "to"), "id") : text(""));
    }
    span key = {t->operations.at, t->operations.size};
    accepted(out, "bk_", t->number, now() + (uint64_t)(1e6 * duration(source, key)));
}

static void receipts(buffer *b, const task *t, span id, int is_done) {
    const char *at = t->operations.at, *end = at + t->operations.size;
    say(b, ",\"receipts\":[");
    for (const char *start = at; at && at < end; at = start) {
        const char *tab = memchr(at, '\t', (size_t)(end - at)), *second = memchr(tab + 1, '\t', (size_t)(end - tab));
        const char *line = memchr(second, '\n', (size_t)(end - second));
        if (at != t->operations.at) say(b, ",");
        say(b, "{\"taskId\":\""); echo(b, id); say(b, "\",\"action\":\""); put(b, at, (size_t)(tab - at));
        say(b, is_done ? "\",\"status\":\"SUCCESS\",\"completedAt\":\"" STAMP : "\",\"status\":\"PENDING");
        say(b, "\",\"targetType\":\""); say(b, t->target);
        say(b, "\",\"type\":\""); put(b, tab + 1, (size_t)(second - tab - 1));
        say(b, "\",\"id\":\""); put(b, second + 1, (size_t)(line - second - 1));
        say(b, "\",\"receivedAt\":\"" STAMP "\"}");
        start = line + 1;
    }
    say(b, "]");
}

static void look(buffer *out, span id, int with_receipts) {
    const char *underscore = memchr(id.at, '_', id.size), *dash = memchr(id.at, '-', id.size);
    if (!underscore || !dash) {
        answer_text(out, "404 Not Found", "{\"code\":404,\"type\":\"NOT_FOUND\",\"message\":\"no such task\"}");
        return;
    }
    uint64_t n = strtoull(underscore + 1, NULL, 10), due = strtoull(dash + 1, NULL, 10);
    task *t = *id.at == 'b' ? &bulks[n % BULKS] : &singles[n % SINGLES];
    int is_done = due <= now();
    buffer *b = scratch();
    say(b, "{\"taskId\":\""); echo(b, id);
    say(b, is_done ? "\",\"status\":\"SUCCESS\"" : "\",\"status\":\"PENDING\"");
    if (with_receipts && t->number == n) receipts(b, t, id, is_done);
    say(b, "}");
    answer(out, "200 OK", b, "");
}

static void registry(buffer *out, const request *r) {
    span source = part(r->target, 1), collection = part(r->target, 3), type = part(r->target, 4), id = part(r->target, 5);
    int is_post = is(r->method, "POST"), with_receipts = holds(r->target, "withReceipts=true");
    if (is(collection, "tasks") && type.size) look(out, type, with_receipts);
    else if (is(type, "bulk") && id.size) look(out, id, with_receipts);
    else if (is(type, "bulk") && is_post) take_bulk(out, source, collection, r->body);
    else if (is_post) create(out, source, type, r->body);
    else read_back(out, type, id);
}

/* The peers' services */

static void elasticsearch(buffer *out, span body) {
    buffer *b = scratch();
    const char *at = body.at, *end = at + body.size;
    say(b, "{\"took\":1,\"errors\":false,\"items\":[");
    for (int first = 1; at < end; first = 0) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        span action = {at, (size_t)((line ? line : end) - at)}, name, about;
        const char *inside = action.at;
        if (!next_value(&inside, action.at + action.size, &name, &about)) break;
        if (!first) say(b, ",");
        say(b, "{\""); echo(b, name); say(b, "\":{\"_index\":\"i\",\"_id\":\""); echo(b, string(about, "_id"));
        say(b, "\",\"_version\":1,\"result\":\"created\",\"_shards\":{\"total\":2,\"successful\":1,\"failed\":0},"
               "\"_seq_no\":1,\"_primary_term\":1,\"status\":201}}");
        at = line ? line + 1 : end;
        if (at < end && !is(name, "delete")) at = (line = memchr(at, '\n', (size_t)(end - at))) ? line + 1 : end;
    }
    say(b, "]}");
    answer(out, "200 OK", b, "X-Elastic-Product: Elasticsearch\r\n");
}

static void algolia(buffer *out, span body) {
    buffer *b = scratch();
    span requests = member(body, "requests"), one;
    const char *at = requests.at, *end = at + requests.size;
    say(b, "{\"taskID\":1,\"objectIDs\":[");
    for (int first = 1; at && next_value(&at, end, NULL, &one); first = 0) {
        say(b, first ? "\"" : ",\""); echo(b, string(member(one, "body"), "objectID")); say(b, "\"");
    }
    say(b, "]}");
    answer(out, "200 OK", b, "");
}

#define QDRANT "{\"result\":{\"operation_id\":1,\"status\":\"completed\"},\"status\":\"ok\",\"time\":0.0001}"
#define CONTEXT_ENGINE \
    "{\"ingestionId\":\"i-1\",\"source\":\"fhir/r4\",\"mimeType\":\"application/fhir+json\",\"receivedAt\":\"" STAMP \
    "\",\"status\":\"pending\",\"staged\":{\"facts\":1,\"events\":0,\"narratives\":0,\"messages\":0}," \
    "\"intake\":[],\"startedAt\":null,\"completedAt\":null,\"failure\":null}"

static void serve(buffer *out, const request *r) {
    span first = part(r->target, 0);
    if (is(first, "sources")) registry(out, r);
    else if (is(first, "_bulk") || is(part(r->target, 1), "_bulk")) elasticsearch(out, r->body);
    else if (is(first, "collections")) answer_text(out, "200 OK", QDRANT);
    else if (is(first, "1") && is(part(r->target, 3), "batch")) algolia(out, r->body);
    else if (is(first, "1")) answer_text(out, "200 OK", "{\"status\":\"published\",\"pendingTask\":false}");
    else if (begins(r->target, "/v1/patients/")) answer_text(out, "201 Created", CONTEXT_ENGINE);
    else answer_text(out, "404 Not Found", "{\"code\":404,\"type\":\"NOT_FOUND\",\"message\":\"no such page\"}");
}

/* The wire */

/* The size of the first request in `in`, or 0 where it is not complete yet. */
static size_t parsed(const buffer *in, request *r) {
    char *end = memmem(in->at, in->size, "\r\n\r\n", 4);
    if (!end) return 0;
    *end = 0;
    char *length = strcasestr(in->at, "\r\ncontent-length:");
    size_t head_size = (size_t)(end - in->at) + 4, size = length ? strtoul(length + 17, NULL, 10) : 0;
    *end = '\r';
    if (in->size < head_size + size) return 0;
    const char *space = memchr(in->at, ' ', head_size - 4);
    const char *second = space ? memchr(space + 1, ' ', head_size - 4 - (size_t)(space + 1 - in->at)) : NULL;
    if (!second) { *r = (request){text(""), text("/"), text("")}; return in->size; }
    r->method = (span){in->at, (size_t)(space - in->at)};
    r->target = (span){space + 1, (size_t)(second - space - 1)};
    r->body = (span){in->at + head_size, size};
    return head_size + size;
}

static void hang_up(int fd) {
    free(connections[fd]->in.at); free(connections[fd]->out.at); free(connections[fd]);
    connections[fd] = NULL;
    close(fd);
}

static void watch(int fd, uint32_t events, int how) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(poller, how, fd, &event)) abort();
}

static int flush(int fd, connection *c) { /* 0 if the client is gone */
    while (c->sent < c->out.size) {
        ssize_t n = send(fd, c->out.at + c->sent, c->out.size - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) { watch(fd, EPOLLOUT, EPOLL_CTL_MOD); return 1; }
        if (n < 0) return 0;
        c->sent += (size_t)n;
    }
    if (c->sent) watch(fd, EPOLLIN, EPOLL_CTL_MOD);
    c->sent = c->out.size = 0;
    return 1;
}

static void on_bytes(int fd) {
    connection *c = connections[fd];
    request r;
    size_t used = 0, size, room;
    ssize_t n;
    do {
        reserve(&c->in, 65536);
        room = c->in.room - c->in.size;
        n = recv(fd, c->in.at + c->in.size, room, 0);
        if (n > 0) c->in.size += (size_t)n;
    } while (n > 0 && (size_t)n == room);
    if (n == 0 || (n < 0 && errno != EAGAIN)) { hang_up(fd); return; }
    while (used < c->in.size) {
        buffer rest = {c->in.at + used, c->in.size - used, 0};
        if (!(size = parsed(&rest, &r))) break;
        serve(&c->out, &r);
        used += size;
    }
    memmove(c->in.at, c->in.at + used, c->in.size -= used);
    if (c->out.size && !flush(fd, c)) hang_up(fd);
}

static void on_client(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), on = 1;
    if (fd < 0) return;
    if (fd >= CONNECTIONS) { close(fd); return; }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connections[fd] = calloc(1, sizeof(connection));
    watch(fd, EPOLLIN, EPOLL_CTL_ADD);
}

static int listening(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) || listen(fd, 4096)) abort();
    getsockname(fd, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int count, char **arguments) {
    struct epoll_event events[256];
    seed = count > 1 ? strtoull(arguments[1], NULL, 10) : 0;
    poller = epoll_create1(0);
    int listener = listening();
    watch(listener, EPOLLIN, EPOLL_CTL_ADD);
    watch(STDIN_FILENO, EPOLLIN, EPOLL_CTL_ADD);
    for (;;) {
        int ready = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == STDIN_FILENO) return 0;
            if (fd == listener) on_client(fd);
            else if (connections[fd] && (events[i].events & EPOLLOUT)) { if (!flush(fd, connections[fd])) hang_up(fd); }
            else if (connections[fd]) on_bytes(fd);
        }
    }
}
