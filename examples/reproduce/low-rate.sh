# What a small budget of bits costs: `rate` with a residual, against fp32. All settings send the server's updates as
# bf16.
common='--down-codec raw:type=bf16 --workers 4 --epochs 4 --batch 64 --lr 0.1 --lr-decay 0.5'
setting fp32 '' tcp_trainer local --codec raw $common
against=fp32
setting bf16 '' tcp_trainer local --codec raw:type=bf16 $common
goal=-0.2
setting rate=0.5 '' tcp_trainer local --codec quant:rate=0.5 --residual $common
goal=-0.3
setting rate=0.2 '' tcp_trainer local --codec quant:rate=0.2 --residual $common
goal=-0.5
setting rate=0.1 '' tcp_trainer local --codec quant:rate=0.1 --residual $common
goal=-1.0
setting rate=0.05 '' tcp_trainer local --codec quant:rate=0.05 --residual $common
