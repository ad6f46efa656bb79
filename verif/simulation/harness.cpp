// The chip's clock, its external memory and its host, compiled together with the Verilated chip
// into one shared library; verif/simulation/simulation.py is its only user and says what the
// functions at the end do.
//
// External memory is one array behind an AXI4 subordinate: bursts of 64-bit words, in order on
// each of the two directions, with a latency and seeded random stalls. Channels are sampled with
// the clock low, after the chip's combinational logic has settled, and answered in the next cycle.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>

#include "Vchip.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

// Ports as Verilator spells them: axi__name, control__name.
#define AXI(name) (top->axi___05F##name)
#define HOST(name) (top->control___05F##name)

namespace {

constexpr size_t OUTSTANDING = 16;  // bursts that a direction queues
constexpr int LITE_LIMIT = 10000;   // cycles that the control port may take
constexpr uint8_t OKAY = 0, SLVERR = 2, DECERR = 3;

struct Burst {
    uint64_t address;
    unsigned length;  // beats - 1
    unsigned id;
    uint64_t due;  // first cycle of its answer
    unsigned beat = 0;
    uint8_t response = OKAY;
};

// An offer of the chip must stay until it is taken.
struct Offer {
    bool pending = false;
    uint64_t was[3] = {};

    bool broken(bool valid, bool ready, uint64_t a, uint64_t b = 0, uint64_t c = 0) {
        const uint64_t now[3] = {a, b, c};
        const bool bad = pending && (!valid || std::memcmp(now, was, sizeof was) != 0);
        pending = valid && !ready;
        std::memcpy(was, now, sizeof was);
        return bad;
    }
};

struct Simulation {
    VerilatedContext context;
    std::unique_ptr<Vchip> top;
    uint8_t* memory;
    uint64_t bytes, cycles = 0, latency, error_first = 0, error_end = 0;
    uint64_t random;
    uint32_t stall;  // probability of a stall in a cycle and channel, of 65536
    uint64_t wave_first = 0, wave_end = 0;
    char error[160] = "";
    std::deque<Burst> reads, writes, answers;
    Offer ar, aw, w;
#if VM_TRACE
    VerilatedVcdC trace;
#endif

    Simulation(uint64_t size, uint64_t seed, uint64_t wait, uint32_t stalls, const char* waves)
        : memory(static_cast<uint8_t*>(std::calloc(size, 1))), bytes(size), latency(wait),
          random(seed * 2 + 1), stall(stalls) {
        context.randReset(2);
        context.randSeed(static_cast<int>(seed % 0x7FFFFFFF) + 1);
        context.traceEverOn(waves != nullptr);
        top.reset(new Vchip(&context, "chip"));
#if VM_TRACE
        if (waves) {
            top->trace(&trace, 99);
            trace.open(waves);
        }
#endif
        quiet();
        top->rst = 1;
        for (int i = 0; i < 4; ++i) step();
        top->rst = 0;
        cycles = 0;
    }

    ~Simulation() {
#if VM_TRACE
        if (trace.isOpen()) trace.close();
#endif
        top->final();
        std::free(memory);
    }

    // Inputs start random like everything else; none of these may.
    void quiet() {
        top->clk = 0;
        AXI(arready) = AXI(awready) = AXI(wready) = AXI(rvalid) = AXI(bvalid) = 0;
        HOST(arvalid) = HOST(awvalid) = HOST(wvalid) = HOST(rready) = HOST(bready) = 0;
    }

    bool stalls() {
        if (stall == 0) return false;
        random = random * 6364136223846793005u + 1442695040888963407u;
        return ((random >> 40) & 0xFFFF) < stall;
    }

    void fail(const char* what, uint64_t address) {
        if (!error[0]) {
            std::snprintf(error, sizeof error, "cycle %llu: %s (0x%llx)",
                          static_cast<unsigned long long>(cycles), what,
                          static_cast<unsigned long long>(address));
        }
    }

    void evaluate(int clock) {
        top->clk = clock;
        top->eval();
#if VM_TRACE
        if (trace.isOpen() && cycles >= wave_first && cycles < wave_end) {
            trace.dump(2 * cycles + clock);
        }
#endif
    }

    // One clock cycle: settle, look at the channels, clock, answer.
    void step() {
        evaluate(0);
        const bool took_ar = AXI(arvalid) && AXI(arready);
        const bool took_aw = AXI(awvalid) && AXI(awready);
        const bool took_w = AXI(wvalid) && AXI(wready);
        const bool took_r = AXI(rvalid) && AXI(rready);
        const bool took_b = AXI(bvalid) && AXI(bready);
        if (!top->rst) check();
        if (took_ar) {
            reads.push_back(accept(AXI(araddr), AXI(arlen), AXI(arid),
                                   AXI(arsize), AXI(arburst)));
        }
        if (took_aw) {
            writes.push_back(accept(AXI(awaddr), AXI(awlen), AXI(awid),
                                    AXI(awsize), AXI(awburst)));
        }
        if (took_w) write(writes.front());
        top_clock();
        if (took_r && reads.front().beat++ == reads.front().length) reads.pop_front();
        if (took_b) answers.pop_front();
        drive(took_r, took_b);
    }

    void top_clock() {
        evaluate(1);
        ++cycles;
    }

    void check() {
        if (ar.broken(AXI(arvalid), AXI(arready), AXI(araddr), AXI(arlen),
                      AXI(arid))) {
            fail("AR changed before it was taken", AXI(araddr));
        }
        if (aw.broken(AXI(awvalid), AXI(awready), AXI(awaddr), AXI(awlen),
                      AXI(awid))) {
            fail("AW changed before it was taken", AXI(awaddr));
        }
        if (w.broken(AXI(wvalid), AXI(wready), AXI(wdata), AXI(wstrb),
                     AXI(wlast))) {
            fail("W changed before it was taken", AXI(wdata));
        }
    }

    Burst accept(uint64_t address, unsigned length, unsigned id, unsigned size, unsigned burst) {
        const uint64_t end = address + 8 * (static_cast<uint64_t>(length) + 1);
        if (size != 3 || burst != 1) fail("a burst that is not INCR of 8 bytes", address);
        if (address % 8) fail("a burst that is not aligned", address);
        if (address >> 12 != (end - 1) >> 12) fail("a burst across 4 KiB", address);
        Burst accepted{address, length, id, cycles + 1 + latency};
        if (end > bytes) accepted.response = DECERR;
        if (address < error_end && end > error_first) accepted.response = SLVERR;
        return accepted;
    }

    void write(Burst& burst) {
        const bool last = burst.beat == burst.length;
        if (static_cast<bool>(AXI(wlast)) != last) fail("WLAST is wrong", burst.address);
        if (burst.response == OKAY) {
            const uint64_t word = AXI(wdata);
            for (int i = 0; i < 8; ++i) {
                if (AXI(wstrb) >> i & 1) {
                    memory[burst.address + 8 * burst.beat + i] = static_cast<uint8_t>(word >> 8 * i);
                }
            }
        }
        ++burst.beat;
        if (last) {
            burst.due = cycles + 1 + latency;
            answers.push_back(burst);
            writes.pop_front();
        }
    }

    // Inputs of the next cycle. A beat that is offered stays until it is taken.
    void drive(bool took_r, bool took_b) {
        AXI(arready) = reads.size() < OUTSTANDING && !stalls();
        AXI(awready) = writes.size() + answers.size() < OUTSTANDING && !stalls();
        AXI(wready) = !writes.empty() && !stalls();
        if (!AXI(rvalid) || took_r) {
            const bool offer = !reads.empty() && cycles >= reads.front().due && !stalls();
            AXI(rvalid) = offer;
            if (offer) {
                const Burst& burst = reads.front();
                uint64_t word = 0;
                if (burst.response == OKAY) {
                    std::memcpy(&word, memory + burst.address + 8 * burst.beat, 8);
                }
                AXI(rdata) = word;
                AXI(rid) = burst.id;
                AXI(rresp) = burst.response;
                AXI(rlast) = burst.beat == burst.length;
            }
        }
        if (!AXI(bvalid) || took_b) {
            const bool offer = !answers.empty() && cycles >= answers.front().due && !stalls();
            AXI(bvalid) = offer;
            if (offer) {
                AXI(bid) = answers.front().id;
                AXI(bresp) = answers.front().response;
            }
        }
    }

    // The host's side. Both return the response, or -1 if the control port does not answer.
    int lite_read(uint32_t offset, uint32_t* value) {
        HOST(araddr) = offset;
        HOST(arvalid) = 1;
        HOST(rready) = 1;
        bool answered = false;
        int response = -1;
        for (int i = 0; i < LITE_LIMIT && !(answered && !HOST(arvalid)); ++i) {
            settle();
            const bool took_ar = HOST(arvalid) && HOST(arready);
            if (HOST(rvalid) && HOST(rready)) {
                *value = HOST(rdata);
                response = HOST(rresp);
                answered = true;
            }
            step();
            if (took_ar) HOST(arvalid) = 0;
            if (answered) HOST(rready) = 0;
        }
        return response;
    }

    int lite_write(uint32_t offset, uint32_t value) {
        HOST(awaddr) = offset;
        HOST(awvalid) = 1;
        HOST(wdata) = value;
        HOST(wstrb) = 15;
        HOST(wvalid) = 1;
        HOST(bready) = 1;
        bool answered = false;
        int response = -1;
        for (int i = 0; i < LITE_LIMIT && !answered; ++i) {
            settle();
            const bool took_aw = HOST(awvalid) && HOST(awready);
            const bool took_w = HOST(wvalid) && HOST(wready);
            if (HOST(bvalid)) {
                response = HOST(bresp);
                answered = true;
            }
            step();
            if (took_aw) HOST(awvalid) = 0;
            if (took_w) HOST(wvalid) = 0;
        }
        HOST(bready) = 0;
        return response;
    }

    void settle() {
        top->clk = 0;
        top->eval();
    }

    // 1 at the interrupt, 0 where the cycles ran out, -1 at an error of the bus.
    int run(uint64_t most) {
        for (uint64_t end = cycles + most; cycles < end;) {
            step();
            if (error[0]) return -1;
            if (top->__SYM__interrupt) return 1;
        }
        return 0;
    }
};

}  // namespace

extern "C" {
Simulation* simulation_open(uint64_t bytes, uint64_t seed, uint64_t latency, uint32_t stall,
                            const char* waves, uint64_t wave_first, uint64_t wave_end) {
    auto* s = new Simulation(bytes, seed, latency, stall, waves);
    s->wave_first = wave_first;
    s->wave_end = wave_end;
    return s;
}
void simulation_close(Simulation* s) { delete s; }
uint8_t* simulation_memory(Simulation* s) { return s->memory; }
uint64_t simulation_cycles(Simulation* s) { return s->cycles; }
const char* simulation_error(Simulation* s) { return s->error; }
void simulation_fail_range(Simulation* s, uint64_t first, uint64_t end) {
    s->error_first = first;
    s->error_end = end;
}
int simulation_read(Simulation* s, uint32_t offset, uint32_t* value) {
    return s->lite_read(offset, value);
}
int simulation_write(Simulation* s, uint32_t offset, uint32_t value) {
    return s->lite_write(offset, value);
}
int simulation_run(Simulation* s, uint64_t most) { return s->run(most); }
}
