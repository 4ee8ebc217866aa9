# Compressive sensing with few bits a value, beside ternary and a budget of quant. The server sends its updates as bf16.
common='--down-codec raw:type=bf16 --workers 4 --epochs 6 --batch 64 --lr 0.1 --lr-decay 0.64 --timeout 600'
setting fp32 '' tcp_trainer local --codec raw $common
against=fp32 goal=-1.0
setting 'sensing, 0.5 bits' '' tcp_trainer local --codec sensing:ratio=0.185,bits=3,keep=0.03 --residual $common
goal=''
setting quant:rate=0.5 '' tcp_trainer local --codec quant:rate=0.5 --residual $common
setting quant:rate=0.1 '' tcp_trainer local --codec quant:rate=0.1 --residual $common
setting ternary '' tcp_trainer local --codec ternary --residual $common
setting 'sensing, 0.1 bits' '' tcp_trainer local --codec sensing:ratio=0.034,bits=3,keep=0.005 --residual $common
