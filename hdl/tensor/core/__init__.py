"""A tensor core: 8 exact trees and the accumulators behind them."""
