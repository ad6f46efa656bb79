// The chip's clock, its external memory and its host, compiled together with the Verilated chip
// into one shared library; verif/simulation/simulation.py is its only user and says what the
// functions at the end do.
//
// External memory is one array behind an AXI4 subordinate: bursts of beats of AXI_WORDS 64-bit
// words, in order on each of the two directions, with a latency and seeded random stalls.
//
// The chip sees its inputs through registers (top.v): what is written here before a rising edge,
// it sees after it. So between two edges all inputs and outputs belong to the same cycle.

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "Vchip.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

namespace {

constexpr size_t OUTSTANDING = 16;  // bursts that a direction queues
constexpr int LITE_LIMIT = 10000;   // cycles that the control port may take
constexpr uint64_t BEAT = 8 * AXI_WORDS;  // bytes, a power of two
constexpr int UNITS = 3;
constexpr uint8_t OKAY = 0, SLVERR = 2, DECERR = 3;

struct Burst {
    uint64_t address;
    unsigned length;  // beats - 1
    unsigned id;
    uint64_t due;  // first cycle of its answer
    unsigned beat = 0;
    uint8_t response = OKAY;
};

using Shown = std::array<uint64_t, AXI_WORDS + 2>;  // what a channel shows

// An offer of the chip must stay until it is taken.
struct Offer {
    bool pending = false;
    Shown was = {};

    bool broken(bool valid, bool ready, const Shown& now) {
        const bool bad = pending && (!valid || now != was);
        pending = valid && !ready;
        was = now;
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
    bool traced = false;
    uint8_t busy = 0;
    std::vector<uint64_t> spans[UNITS];  // first cycle of an operation, and the one after its last
#if VM_TRACE
    VerilatedVcdC trace;
#endif

    Simulation(uint64_t size, uint64_t seed, uint64_t wait, uint32_t stalls, const char* waves)
        : memory(static_cast<uint8_t*>(std::calloc((size + BEAT - 1) / BEAT, BEAT))),
          bytes((size + BEAT - 1) / BEAT * BEAT), latency(wait),
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
        top->reset = 1;
        for (int i = 0; i < 4; ++i) step();
        top->reset = 0;
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
        top->axi_arready = top->axi_awready = top->axi_wready = 0;
        top->axi_rvalid = top->axi_bvalid = 0;
        top->control_arvalid = top->control_awvalid = top->control_wvalid = 0;
        top->control_rready = top->control_bready = 0;
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
            trace.dump(2 * cycles + !clock);
        }
#endif
    }

    // One clock cycle: look at the channels, set the inputs of the next cycle, clock.
    void step() {
        const bool took_r = top->axi_rvalid && top->axi_rready;
        const bool took_b = top->axi_bvalid && top->axi_bready;
        if (!top->reset) check();
        if (traced) trace_units();
        if (top->axi_arvalid && top->axi_arready) {
            reads.push_back(accept(top->axi_araddr, top->axi_arlen, top->axi_arid,
                                   top->axi_arsize, top->axi_arburst));
        }
        if (top->axi_awvalid && top->axi_awready) {
            writes.push_back(accept(top->axi_awaddr, top->axi_awlen, top->axi_awid,
                                    top->axi_awsize, top->axi_awburst));
        }
        if (top->axi_wvalid && top->axi_wready) write(writes.front());
        if (took_r && reads.front().beat++ == reads.front().length) reads.pop_front();
        if (took_b) answers.pop_front();
        ++cycles;
        drive(took_r, took_b);
        evaluate(1);
        evaluate(0);
    }

    void trace_units() {
        const uint8_t changed = busy ^ top->units_busy;
        for (int i = 0; i < UNITS; ++i) {
            if (changed >> i & 1) spans[i].push_back(cycles);
        }
        busy = top->units_busy;
    }

    void check() {
        if (ar.broken(top->axi_arvalid, top->axi_arready,
                      {top->axi_araddr, top->axi_arlen, top->axi_arid})) {
            fail("AR changed before it was taken", top->axi_araddr);
        }
        if (aw.broken(top->axi_awvalid, top->axi_awready,
                      {top->axi_awaddr, top->axi_awlen, top->axi_awid})) {
            fail("AW changed before it was taken", top->axi_awaddr);
        }
        Shown beat = {top->axi_wstrb, top->axi_wlast};
        for (int i = 0; i < AXI_WORDS; ++i) beat[2 + i] = top->axi_wdata[i];
        if (w.broken(top->axi_wvalid, top->axi_wready, beat)) {
            fail("W changed before it was taken", top->axi_wdata[0]);
        }
    }

    Burst accept(uint64_t address, unsigned length, unsigned id, unsigned size, unsigned burst) {
        const uint64_t end = address + BEAT * (static_cast<uint64_t>(length) + 1);
        if (1u << size != BEAT || burst != 1) fail("a burst that is not INCR of beats", address);
        if (address % BEAT) fail("a burst that is not aligned", address);
        if (address >> 12 != (end - 1) >> 12) fail("a burst across 4 KiB", address);
        Burst accepted{address, length, id, cycles + 1 + latency};
        if (end > bytes) accepted.response = DECERR;
        if (address < error_end && end > error_first) accepted.response = SLVERR;
        return accepted;
    }

    void write(Burst& burst) {
        const bool last = burst.beat == burst.length;
        if (static_cast<bool>(top->axi_wlast) != last) fail("WLAST is wrong", burst.address);
        if (burst.response == OKAY) {
            uint8_t* beat = memory + burst.address + BEAT * burst.beat;
            for (unsigned i = 0; i < BEAT; ++i) {
                const uint64_t word = top->axi_wdata[i / 8];
                if (top->axi_wstrb >> i & 1) beat[i] = static_cast<uint8_t>(word >> 8 * (i % 8));
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
        top->axi_arready = reads.size() < OUTSTANDING && !stalls();
        top->axi_awready = writes.size() + answers.size() < OUTSTANDING && !stalls();
        top->axi_wready = !writes.empty() && !stalls();
        if (!top->axi_rvalid || took_r) {
            const bool offer = !reads.empty() && cycles >= reads.front().due && !stalls();
            top->axi_rvalid = offer;
            if (offer) {
                const Burst& burst = reads.front();
                const uint8_t* beat = memory + burst.address + BEAT * burst.beat;
                for (int i = 0; i < AXI_WORDS; ++i) {
                    uint64_t word = 0;
                    if (burst.response == OKAY) std::memcpy(&word, beat + 8 * i, 8);
                    top->axi_rdata[i] = word;
                }
                top->axi_rid = burst.id;
                top->axi_rresp = burst.response;
                top->axi_rlast = burst.beat == burst.length;
            }
        }
        if (!top->axi_bvalid || took_b) {
            const bool offer = !answers.empty() && cycles >= answers.front().due && !stalls();
            top->axi_bvalid = offer;
            if (offer) {
                top->axi_bid = answers.front().id;
                top->axi_bresp = answers.front().response;
            }
        }
    }

    // The host's side. Both return the response, or -1 if the control port does not answer.
    int lite_read(uint32_t offset, uint32_t* value) {
        top->control_araddr = offset;
        top->control_arvalid = 1;
        top->control_rready = 1;
        for (int i = 0; i < LITE_LIMIT; ++i) {
            step();
            if (top->control_rvalid) {
                *value = top->control_rdata;
                top->control_rready = 0;
                return top->control_rresp;
            }
            if (top->control_arready) top->control_arvalid = 0;
        }
        return -1;
    }

    int lite_write(uint32_t offset, uint32_t value) {
        top->control_awaddr = offset;
        top->control_awvalid = 1;
        top->control_wdata = value;
        top->control_wstrb = 15;
        top->control_wvalid = 1;
        top->control_bready = 1;
        for (int i = 0; i < LITE_LIMIT; ++i) {
            step();
            if (top->control_bvalid) {
                top->control_bready = 0;
                return top->control_bresp;
            }
            if (top->control_awready) top->control_awvalid = 0;
            if (top->control_wready) top->control_wvalid = 0;
        }
        return -1;
    }

    // 1 at the interrupt, 0 where the cycles ran out, -1 at an error of the bus.
    int run(uint64_t most) {
        for (uint64_t end = cycles + most; cycles < end;) {
            step();
            if (error[0]) return -1;
            if (top->interrupt_up) return 1;
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
void simulation_trace_units(Simulation* s) { s->traced = true; }
uint64_t simulation_spans(Simulation* s, int unit, const uint64_t** cycles) {
    *cycles = s->spans[unit].data();
    return s->spans[unit].size();
}
int simulation_read(Simulation* s, uint32_t offset, uint32_t* value) {
    return s->lite_read(offset, value);
}
int simulation_write(Simulation* s, uint32_t offset, uint32_t value) {
    return s->lite_write(offset, value);
}
int simulation_run(Simulation* s, uint64_t most) { return s->run(most); }
}
