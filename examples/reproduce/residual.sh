# Whether a residual helps: each codec without and with it. All settings send the server's updates as bf16.
common='--down-codec raw:type=bf16 --workers 4 --epochs 4 --batch 64 --lr 0.1 --lr-decay 0.5'
for codec in ternary quant:bits=2,rounding=stochastic quant:rotate=1,rate=1; do
    against='' goal=''
    setting "$codec" '' tcp_trainer local $common --codec $codec
    against=$codec goal=0
    setting "$codec residual" '' tcp_trainer local $common --codec $codec --residual
done
